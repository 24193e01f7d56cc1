"""Tables that are no Excel workbook, as one: values as text, so that ids stay as they were written."""

import datetime
import io
import re
from collections.abc import Sequence
from typing import Any

import openpyxl
from openpyxl.cell import WriteOnlyCell

from clustering_pipeline.catalogue import EXACT_DIGITS, SheetTable, Table, cell_text
from clustering_pipeline.workbook.markup import MAX_CELL_CHARACTERS, UNWRITABLE

MAX_SHEET_NAME = 31
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


def to_workbook(table: Table) -> bytes:
    """Return an .xlsx workbook with the values of a table's sheets, named as `sheet_names` says.

    Text stays text whatever it begins with; a number that Excel could not keep to its last digit becomes text.
    """
    workbook = openpyxl.Workbook(write_only=True)
    names = sheet_names(table.sheets)
    for sheet in table.sheets:
        worksheet = workbook.create_sheet(names[sheet.name])
        for row in sheet.rows:
            worksheet.append([_cell(worksheet, value) for value in row])
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


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
