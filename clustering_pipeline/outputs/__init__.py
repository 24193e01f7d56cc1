"""What an analyst is given: the labelled workbook, the report and the search index."""
