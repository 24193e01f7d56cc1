"""SpreadsheetML for single cells."""

import re
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from clustering_pipeline.stages.catalogue import column_letters

# XML 1.0 has no way to write these; the office programs drop them too.
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
# Excel reads _x0041_ in a cell as "A": the underscore is coded itself to stay one.
CODED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
MAX_CELL_CHARACTERS = 32_767
# A cell whose text starts so would become a formula as soon as a person edits it, were it not
# marked as quoted text.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

CellValue = str | int | float | bool | None


@dataclass(frozen=True)
class CellStyles:
    """Indices of the cell formats that are added to a workbook's style sheet."""

    whole_number: int = 0
    fraction: int = 0
    truth: int = 0
    text: int = 0
    quoted_text: int = 0
    wrapped_text: int = 0
    link: int = 0
    header: int = 0

    def of(self, value: CellValue) -> int:
        """Return the format that suits a value."""
        if isinstance(value, bool):
            return self.truth
        if value is None:
            return self.text
        if isinstance(value, int):
            return self.whole_number
        if isinstance(value, float):
            return self.fraction
        return self.quoted_text if value.startswith(FORMULA_STARTS) else self.text


def cell_markup(prefix: str, row: int, column: int, value: CellValue, style: int) -> str:
    """Return the element of one cell; text is written in place and is never taken for a formula.

    `prefix`: the namespace prefix with its colon, or "". `row` and `column` count from 1.
    """
    start = f'<{prefix}c r="{column_letters(column)}{row}"' + (f' s="{style}"' if style else "")
    if value is None or value == "":
        return f"{start}/>" if style else ""
    if isinstance(value, bool):
        return f'{start} t="b"><{prefix}v>{int(value)}</{prefix}v></{prefix}c>'
    if isinstance(value, int | float):
        return f"{start}><{prefix}v>{value!r}</{prefix}v></{prefix}c>"
    return (
        f'{start} t="inlineStr"><{prefix}is><{prefix}t '
        f'xml:space="preserve">{escaped(value)}</{prefix}t></{prefix}is></{prefix}c>'
    )


def escaped(text: str) -> str:
    """Return text as it may stand in an element: at most the length of a cell, without what XML
    cannot hold.
    """
    return escape(CODED.sub("_x005F_", UNWRITABLE.sub("", text)[:MAX_CELL_CHARACTERS]))


def attribute(text: str) -> str:
    """Return text as a quoted attribute value."""
    return quoteattr(UNWRITABLE.sub("", text))


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
