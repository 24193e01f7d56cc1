"""The parts of an .xlsx package, edited in place."""
