"""The Dagster instance of a home and the runs on it."""
