"""The suites: each module measures one part of the project."""
