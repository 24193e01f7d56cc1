"""What the value reader does not tell about .xls and .ods sheets: numbers as shown, links, errors,
merged and hidden cells; and the used rectangle of an .ods sheet, known before a reader allocates
it.

In an .ods sheet a cell of a few bytes may be repeated millions of times, and numbers are kept as
they are shown beside their value.
"""

import re
import struct
from collections.abc import Callable
from typing import Any
from xml.parsers import expat

import xlrd

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.stages.catalogue.addresses import link_formula
from clustering_pipeline.stages.catalogue.formats.sheet_details import (
    EXACT_DIGITS,
    NumberFormat,
    SheetDetails,
    check_new,
    check_overlap,
    error_fault,
    number_format,
    parse_stream,
)
from clustering_pipeline.stages.catalogue.formats.sheets import (
    WorkbookPackage,
    damaged,
    password_protected,
)

# What xlrd raises on files whose structure is broken, besides its own error.
BROKEN = (
    xlrd.XLRDError,
    xlrd.compdoc.CompDocError,
    struct.error,
    ValueError,
    LookupError,
    AssertionError,
    TypeError,
    OverflowError,
)
ENCRYPTED = re.compile("encrypt|password", re.IGNORECASE)


Check = Callable[[dict[str, SheetDetails]], None]


def old_workbook_details(content: bytes, name: str, check: Check) -> dict[str, SheetDetails]:
    """Return the details of every sheet by name, after `check` of those so far for each; raises
    InputError when the workbook is encrypted or damaged.
    """
    details: dict[str, SheetDetails] = {}
    try:
        # A sheet at a time, and rows only as long as they are: a cell far below and right would
        # make room for millions.
        workbook = xlrd.open_workbook(
            file_contents=content,
            formatting_info=True,
            logfile=_Silence(),
            on_demand=True,
            ragged_rows=True,
        )
        for number in range(workbook.nsheets):
            sheet = workbook.sheet_by_index(number)
            check_new(name, sheet.name, details)
            details[sheet.name] = _sheet_details(workbook, sheet)
            check_overlap(name, details[sheet.name].merged, details[sheet.name])
            check(details)
            workbook.unload_sheet(number)
    except BROKEN as error:
        raise _explained(error, name) from error
    return details


def _explained(error: Exception, name: str) -> InputError:
    return password_protected(name) if ENCRYPTED.search(str(error)) else damaged(name, error)


def _sheet_details(workbook: Any, sheet: Any) -> SheetDetails:
    details = SheetDetails(last_row=sheet.nrows, last_column=sheet.ncols)
    details.merged = [
        (top + 1, left + 1, bottom, right) for top, bottom, left, right in sheet.merged_cells
    ]
    details.hidden_rows = {row + 1 for row, facts in sheet.rowinfo_map.items() if facts.hidden}
    details.links = {
        (row + 1, column + 1): link.url_or_path
        for (row, column), link in sheet.hyperlink_map.items()
        if isinstance(link.url_or_path, str)
    }
    formats = _shown_formats(workbook)
    for row in range(sheet.nrows):
        for column, kind in enumerate(sheet.row_types(row)):
            if kind == xlrd.XL_CELL_TEXT:
                details.characters += len(sheet.cell_value(row, column))
            elif kind == xlrd.XL_CELL_ERROR:
                code = sheet.cell_value(row, column)
                error = xlrd.error_text_from_code.get(code, "#ERROR")
                details.faults[row + 1, column + 1] = error_fault(error)
            elif formats and kind == xlrd.XL_CELL_NUMBER:
                shown = formats.get(sheet.cell_xf_index(row, column))
                value = sheet.cell_value(row, column)
                if shown and value.is_integer() and value >= 0:
                    details.numbers[row + 1, column + 1] = shown.show(str(int(value)))
    return details


def _shown_formats(workbook: Any) -> dict[int, NumberFormat]:
    """Return the cell formats that show whole numbers otherwise than by their digits."""
    shown = {
        key: number_format(style.format_str or "") for key, style in workbook.format_map.items()
    }
    return {
        index: shown_number
        for index, style in enumerate(workbook.xf_list)
        if (shown_number := shown.get(style.format_key)) is not None
    }


class _Silence:
    """Takes xlrd's remarks on odd files, which it would print."""

    def write(self, text: str) -> None:
        """Forget the text."""


CONTENT_PART = "content.xml"
MANIFEST_PART = "META-INF/manifest.xml"
CELLS = ("table:table-cell", "table:covered-table-cell")
VALUE_MARKS = ("office:value-type", "calcext:value-type", "table:formula")
# What parts thousands or shows decimals or per cent: the number is an amount.
AMOUNT = re.compile(r"[.,%\s\u00a0\u202f]")


def document_details(package: WorkbookPackage, check: Check) -> dict[str, SheetDetails]:
    """Return the details of every sheet by name, after `check` of those so far for each.

    Raises InputError when the document is encrypted or its XML is damaged.
    """
    if MANIFEST_PART in package and b"encryption-data" in package.read(MANIFEST_PART):
        raise password_protected(package.name)
    scanner = _Scanner(package.name, check)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = scanner.start, scanner.end
    parser.CharacterDataHandler = scanner.text
    parse_stream(parser, package, CONTENT_PART)
    return scanner.sheets


class _Scanner:
    """Walks over the tables; repeated cells count, and only single ones can have a link or an exact
    number.
    """

    def __init__(self, file: str, check: Check) -> None:
        self._file = file
        self.sheets: dict[str, SheetDetails] = {}
        self._check = check
        self._name = ""
        self._details = SheetDetails()
        self._row = self._column = 0
        self._rows = self._columns = 1
        self._value: str | None = None
        self._is_error = False
        self._shown: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "table:table":
            self._name, self._details = attributes.get("table:name", ""), SheetDetails()
            self._row = 0
        elif name == "table:table-row":
            self._start_row(attributes)
        elif name in CELLS:
            self._start_cell(attributes)
        elif name == "text:a" and self._shown is not None:
            self._details.links.setdefault(
                (self._row, self._column), attributes.get("xlink:href", "")
            )

    def text(self, text: str) -> None:
        if self._shown is not None:
            self._shown.append(text)

    def end(self, name: str) -> None:
        if name == "table:table":
            check_overlap(self._file, self._details.merged, self._details)
            check_new(self._file, self._name, self.sheets)
            self.sheets[self._name] = self._details
            self._check(self.sheets)
        elif name in CELLS and self._shown is not None:
            self._note("".join(self._shown))
            self._shown = None

    def _start_row(self, attributes: dict[str, str]) -> None:
        repeat = int(attributes.get("table:number-rows-repeated", 1))
        self._row += repeat
        self._rows = repeat
        self._column = 0
        if attributes.get("table:visibility", "visible") != "visible" and repeat == 1:
            self._details.hidden_rows.add(self._row)

    def _start_cell(self, attributes: dict[str, str]) -> None:
        self._columns = int(attributes.get("table:number-columns-repeated", 1))
        self._column += self._columns
        rows, columns = (
            int(attributes.get(f"table:number-{kind}-spanned", 1)) for kind in ("rows", "columns")
        )
        if rows > 1 or columns > 1:
            self._details.merged.append(
                (self._row, self._column, self._row + rows - 1, self._column + columns - 1)
            )
        if not any(mark in attributes for mark in VALUE_MARKS):
            return
        self._details.last_row = self._row
        self._details.last_column = max(self._details.last_column, self._column)
        self._value = (
            attributes.get("office:value")
            if attributes.get("office:value-type") == "float"
            else None
        )
        self._is_error = attributes.get("calcext:value-type") == "error"
        formula = link_formula(attributes.get("table:formula", ""))
        if formula:
            self._details.formulas[self._row, self._column] = formula
        self._shown = []

    def _note(self, shown: str) -> None:
        self._details.characters += len(shown) * self._rows * self._columns
        if self._is_error:
            self._details.faults[self._row, self._column] = error_fault(shown)
        elif self._value is not None and _is_identifier(shown, self._value):
            self._details.numbers[self._row, self._column] = shown
        elif self._value is not None and len(self._value) > EXACT_DIGITS:
            self._details.numbers[self._row, self._column] = self._value


def _is_identifier(shown: str, value: str) -> bool:
    """Whether a whole number is shown with zeros or letters before its digits."""
    digits = "".join(letter for letter in shown if letter.isdigit())
    is_same = value.isdigit() and digits.lstrip("0") == value.lstrip("0")
    return is_same and not AMOUNT.search(shown) and (digits != value or shown[0].isalpha())
