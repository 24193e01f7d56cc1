"""Tables of any file format as sheets of cells."""
