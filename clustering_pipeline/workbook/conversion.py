"""Tables that are no Excel workbook, as one: values as text, so that ids stay as they were written."""

import datetime
import io
import re
from collections.abc import Sequence
from typing import Any

import openpyxl
from openpyxl.cell import WriteOnlyCell

from clustering_pipeline.catalogue import EXACT_DIGITS, SelectedSheet, SheetTable, Table, cell_text
from clustering_pipeline.workbook.markup import MAX_CELL_CHARACTERS, UNWRITABLE

MAX_SHEET_NAME = 31
# What a cell in the general format shows as it is written: no leading or trailing zeros, at most 11 characters.
PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,4})\.\d{0,3}[1-9]|-?[1-9]\d{0,9}|0")
LOSSES = {
    "xls": "the .xls workbook was converted to .xlsx: values are kept; formulas, formats, pictures, charts and macros are not",
    "ods": "the .ods workbook was converted to .xlsx: values are kept; formulas, formats, pictures and charts are not",
}


def sheet_names(sheets: Sequence[SheetTable]) -> dict[str, str]:
    """Return a name that Excel accepts for every sheet: at most 31 characters, none of []:*?/\\, no two alike."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for sheet in sheets:
        base = re.sub(r"[\[\]:*?/\\\x00-\x1f]", "_", sheet.name).strip("' ")[:MAX_SHEET_NAME] or "Sheet"
        name, number = base, 2
        while name.casefold() in taken:
            name, number = f"{base[: MAX_SHEET_NAME - 5]} ({number})", number + 1
        taken.add(name.casefold())
        names[sheet.name] = name
    return names


def to_workbook(table: Table, sheets: Sequence[SelectedSheet]) -> bytes:
    """Return an .xlsx workbook with the values of a table's sheets, named as `sheet_names` says.

    Text stays text whatever it begins with; a number that Excel could not keep to its last digit becomes text. A column of
    text that holds nothing but numbers becomes numbers where each looks the same as one, ids excepted: `sheets` tells them.
    """
    workbook = openpyxl.Workbook(write_only=True)
    names = sheet_names(table.sheets)
    numeric = {sheet.table.name: numeric_columns(sheet) for sheet in sheets}
    for sheet in table.sheets:
        worksheet = workbook.create_sheet(names[sheet.name])
        columns = numeric.get(sheet.name, frozenset())
        for row in sheet.rows:
            cells = (_as_number(value) if column in columns else value for column, value in enumerate(row))
            worksheet.append([_cell(worksheet, value) for value in cells])
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


def numeric_columns(sheet: SelectedSheet) -> frozenset[int]:
    """Return the columns (from 0) below the header whose text is numbers that a cell would show in the same way."""
    texts: dict[int, bool] = {}
    for row in sheet.table.rows[sheet.columns.header_row :]:
        for column, value in enumerate(row):
            if value != "":
                texts[column] = texts.get(column, True) and isinstance(value, str) and bool(PLAIN_NUMBER.fullmatch(value))
    return frozenset(column for column, is_number in texts.items() if is_number and column != sheet.columns.identifier - 1)


def _as_number(value: Any) -> Any:
    if not isinstance(value, str) or not PLAIN_NUMBER.fullmatch(value):
        return value
    return float(value) if "." in value else int(value)


def _cell(worksheet: Any, value: Any) -> Any:
    if value is None or value == "":
        return None
    if isinstance(value, bool | datetime.date | datetime.time | datetime.timedelta):
        return value
    if isinstance(value, int | float) and abs(value) < 10**EXACT_DIGITS:
        return int(value) if float(value).is_integer() else value
    cell = WriteOnlyCell(
        worksheet, UNWRITABLE.sub("", value if isinstance(value, str) else cell_text(value))[:MAX_CELL_CHARACTERS]
    )
    cell.data_type = "s"
    return cell
