"""What is stale, why, and how it is brought up to date."""
