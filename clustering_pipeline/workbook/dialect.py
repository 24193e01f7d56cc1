"""The two dialects of the workbook format: transitional, which everything writes, and strict."""

from dataclasses import dataclass

_OLD = "http://schemas.openxmlformats.org"
_STRICT = "http://purl.oclc.org/ooxml"


@dataclass(frozen=True)
class Dialect:
    """The namespaces of one dialect."""

    main: str
    relationships: str
    drawing: str
    spreadsheet_drawing: str


TRANSITIONAL = Dialect(
    f"{_OLD}/spreadsheetml/2006/main",
    f"{_OLD}/officeDocument/2006/relationships",
    f"{_OLD}/drawingml/2006/main",
    f"{_OLD}/drawingml/2006/spreadsheetDrawing",
)
STRICT = Dialect(
    f"{_STRICT}/spreadsheetml/main",
    f"{_STRICT}/officeDocument/relationships",
    f"{_STRICT}/drawingml/main",
    f"{_STRICT}/drawingml/spreadsheetDrawing",
)
PACKAGE_RELATIONSHIPS = f"{_OLD}/package/2006/relationships"
DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"
STYLES_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"
DRAWING_TYPE = "application/vnd.openxmlformats-officedocument.drawing+xml"
