"""What the value reader does not tell about an .xls sheet: zero-padded numbers, links, merged and
hidden cells.
"""

import re
import struct
from typing import Any

import xlrd

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.stages.catalogue.formats.sheet_details import (
    ZERO_PADDED,
    SheetDetails,
    check_overlap,
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
    widths = _padded_formats(workbook)
    for row in range(sheet.nrows) if widths else ():
        for column in range(sheet.row_len(row)):
            width = widths.get(sheet.cell_xf_index(row, column))
            value = sheet.cell_value(row, column)
            if width and isinstance(value, float) and value.is_integer() and value >= 0:
                details.numbers[row + 1, column + 1] = str(int(value)).zfill(width)
    return details


def _padded_formats(workbook: Any) -> dict[int, int]:
    """Return the cell formats that pad with zeros ("00000"), with the digits they show."""
    formats = {key: held.format_str for key, held in workbook.format_map.items()}
    padded = {key: len(code) for key, code in formats.items() if code and ZERO_PADDED.match(code)}
    return {
        index: padded[held.format_key]
        for index, held in enumerate(workbook.xf_list)
        if held.format_key in padded
    }


class _Silence:
    """Takes xlrd's remarks on odd files, which it would print."""

    def write(self, text: str) -> None:
        """Forget the text."""
