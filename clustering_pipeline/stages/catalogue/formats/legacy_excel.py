"""What the value reader does not tell about an .xls sheet: numbers as shown, links, errors, merged
and hidden cells.
"""

import re
import struct
from typing import Any

import xlrd

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.stages.catalogue.formats.number_formats import (
    NumberFormat,
    number_format,
)
from clustering_pipeline.stages.catalogue.formats.sheet_details import (
    SheetDetails,
    check_overlap,
    error_fault,
)
from clustering_pipeline.stages.catalogue.formats.sheets import damaged, password_protected

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


def old_workbook_details(content: bytes, name: str) -> dict[str, SheetDetails]:
    """Return the details of every sheet by name; raises InputError when the workbook is encrypted
    or damaged.
    """
    try:
        workbook = xlrd.open_workbook(
            file_contents=content, formatting_info=True, logfile=_Silence()
        )
        details = {sheet.name: _sheet_details(workbook, sheet) for sheet in workbook.sheets()}
    except BROKEN as error:
        raise _explained(error, name) from error
    for found in details.values():
        check_overlap(name, found.merged, found)
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
    shown = {key: number_format(held.format_str or "") for key, held in workbook.format_map.items()}
    return {
        index: shown_number
        for index, held in enumerate(workbook.xf_list)
        if (shown_number := shown.get(held.format_key)) is not None
    }


class _Silence:
    """Takes xlrd's remarks on odd files, which it would print."""

    def write(self, text: str) -> None:
        """Forget the text."""
