"""The labelled Excel workbook while it is put together, converted from an older format where it has
to be.
"""

import datetime
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import openpyxl
import pandas as pd
from openpyxl.cell import WriteOnlyCell

from clustering_pipeline.core.own_columns import OWN_COLUMNS, WorkbookLanguage
from clustering_pipeline.outputs.workbook.contents import Tabs
from clustering_pipeline.outputs.workbook.ooxml.added_sheet import (
    AddedSheet,
    choose_tab_names,
    place,
    put_sheet,
)
from clustering_pipeline.outputs.workbook.ooxml.parts import (
    UNWRITABLE,
    CellValue,
    WorkbookParts,
    cell_markup,
    within_cell,
)
from clustering_pipeline.outputs.workbook.ooxml.ranges import OwnColumns, widen_ranges
from clustering_pipeline.outputs.workbook.ooxml.sheet_edit import (
    MAX_HYPERLINKS,
    SheetAdditions,
    add_to_sheet,
    namespace_prefix,
    row_styles,
)
from clustering_pipeline.outputs.workbook.ooxml.styles import add_styles
from clustering_pipeline.outputs.workbook.placement import Placement, cell_value, place_columns
from clustering_pipeline.stages.catalogue import (
    EXACT_DIGITS,
    SelectedSheet,
    SheetTable,
    Table,
    cell_text,
    column_letters,
)

MAX_SHEET_NAME = 31
# What a cell in the general format shows as it is written: no leading or trailing zeros, at most 11
# characters.
PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,4})\.\d{0,3}[1-9]|-?[1-9]\d{0,9}|0")
LOSSES = {
    "xls": "the .xls workbook was converted to .xlsx: values are kept; formulas, formats, "
    "pictures, charts and macros are not",
    "ods": "the .ods workbook was converted to .xlsx: values are kept; formulas, formats, pictures "
    "and charts are not",
}


def sheet_names(sheets: Sequence[SheetTable]) -> dict[str, str]:
    r"""Return a name that Excel accepts for every sheet: at most 31 characters, none of []:*?/\, no
    two alike.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for sheet in sheets:
        base = (
            re.sub(r"[\[\]:*?/\\\x00-\x1f]", "_", sheet.name).strip("' ")[:MAX_SHEET_NAME]
            or "Sheet"
        )
        name, number = base, 2
        while name.casefold() in taken:
            name, number = f"{base[: MAX_SHEET_NAME - 5]} ({number})", number + 1
        taken.add(name.casefold())
        names[sheet.name] = name
    return names


def to_workbook(table: Table, sheets: Sequence[SelectedSheet]) -> bytes:
    """Return an .xlsx workbook with the values of a table's sheets, named as `sheet_names` says.

    Text stays text whatever it begins with; a number that Excel could not keep to its last digit
    becomes text. A column of text that holds nothing but numbers becomes numbers where each looks
    the same as one, ids excepted: `sheets` tells them.
    """
    workbook = openpyxl.Workbook(write_only=True)
    names = sheet_names(table.sheets)
    numeric = {sheet.table.name: numeric_columns(sheet) for sheet in sheets}
    for sheet in table.sheets:
        worksheet = workbook.create_sheet(names[sheet.name])
        columns = numeric.get(sheet.name, frozenset())
        for row in sheet.rows:
            cells = (
                _as_number(value) if column in columns else value
                for column, value in enumerate(row)
            )
            worksheet.append([_cell(worksheet, value) for value in cells])
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


def numeric_columns(sheet: SelectedSheet) -> frozenset[int]:
    """Return the columns (from 0) below the header whose text is numbers that a cell would show in
    the same way.
    """
    texts: dict[int, bool] = {}
    for row in sheet.table.rows[sheet.columns.header_row :]:
        for column, value in enumerate(row):
            if value != "":
                texts[column] = (
                    texts.get(column, True)
                    and isinstance(value, str)
                    and bool(PLAIN_NUMBER.fullmatch(value))
                )
    return frozenset(
        column
        for column, is_number in texts.items()
        if is_number and column != sheet.columns.identifier - 1
    )


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
        worksheet,
        within_cell(UNWRITABLE.sub("", value if isinstance(value, str) else cell_text(value))),
    )
    cell.data_type = "s"
    return cell


class ExcelOutput:
    """A workbook that gets our columns on the sheets with listings, and our sheets after the user's
    own.
    """

    def __init__(
        self,
        content: bytes,
        name: str,
        table: Table,
        sheets: list[SelectedSheet],
        max_uncompressed_megabytes: int,
        language: WorkbookLanguage = "en",
    ) -> None:
        """`table`: what was read of `content`; `sheets`: those with listings.

        Tables of other kinds are converted first.
        """
        is_workbook = table.kind == "xlsx"
        self._parts = WorkbookParts(
            content if is_workbook else to_workbook(table, sheets), name, max_uncompressed_megabytes
        )
        self._styles = add_styles(self._parts)
        listing_tabs = (
            {sheet.name: sheet.name for sheet in table.sheets}
            if is_workbook
            else sheet_names(table.sheets)
        )
        first_rows = {
            listing_tabs[sheet.name]: [cell_text(value) for value in (sheet.rows or [[]])[0]]
            for sheet in table.sheets
        }
        self.tabs = Tabs(
            own=choose_tab_names(self._parts.tabs, first_rows),
            listings=listing_tabs,
            placements={sheet.table.name: place_columns(sheet, language) for sheet in sheets},
        )
        self._identifiers = {sheet.table.name: sheet.columns.identifier for sheet in sheets}
        self.remarks: list[str] = []

    def add_labels(self, labels: pd.DataFrame, cluster_rows: Mapping[int, int]) -> None:
        """Write the labels beside their listings; numbers in `cluster_rows` link to that row of the
        sheet Clusters.

        A sheet with more listings than Excel allows links has none. `remarks` gets what is said of
        tables and filters that leave our columns out.
        """
        for sheet, placement in self.tabs.placements.items():
            part = self._parts.sheets[self.tabs.listings[sheet]].part
            content = self._parts.read(part)
            rows = labels[labels["sheet"] == sheet]
            linked = cluster_rows if len(rows) <= MAX_HYPERLINKS else {}
            additions = self._additions(content, placement, rows, linked)
            self._parts.write(part, add_to_sheet(content, additions))
            own = OwnColumns(
                {number: placement.headers[name] for name, number in placement.columns.items()},
                placement.header_row,
                self._identifiers[sheet],
            )
            self.remarks += widen_ranges(self._parts, self.tabs.listings[sheet], own)

    def add_sheet(self, sheet: AddedSheet) -> None:
        """Write one of our own sheets."""
        put_sheet(self._parts, sheet, self._styles)

    def packed(self) -> bytes:
        """Return the bytes of the workbook."""
        return self._parts.packed()

    def _additions(
        self,
        content: bytes,
        placement: Placement,
        labels: pd.DataFrame,
        cluster_rows: Mapping[int, int],
    ) -> SheetAdditions:
        prefix = namespace_prefix(content)
        cells = self._header_cells(prefix, content, placement)
        links: dict[str, str] = {}
        number_column = placement.columns["cluster_id"]
        letters = column_letters(number_column)
        rows = labels["sheet_row"].astype(int)
        for row, values in zip(
            rows, labels[list(OWN_COLUMNS)].itertuples(index=False, name=None), strict=True
        ):
            by_column = {
                name: cell_value(name, value)
                for name, value in zip(OWN_COLUMNS, values, strict=True)
            }
            number = by_column["cluster_id"]
            if number in cluster_rows:
                links[f"{letters}{row}"] = place(
                    self.tabs.own["Clusters"], cluster_rows[int(str(number))]
                )
            cells[row] = {
                column: self._cell(
                    prefix,
                    row,
                    column,
                    by_column[name],
                    column == number_column and number in cluster_rows,
                )
                for name, column in placement.columns.items()
            }
        return SheetAdditions(cells, placement.widths, links)

    def _cell(self, prefix: str, row: int, column: int, value: CellValue, is_linked: bool) -> str:
        if value is None:
            return ""
        return cell_markup(
            prefix, row, column, value, self._styles.link if is_linked else self._styles.of(value)
        )

    def _header_cells(
        self, prefix: str, content: bytes, placement: Placement
    ) -> dict[int, dict[int, str]]:
        """Return the header cells, in the format of the header left of them, so that ours look like
        the user's.
        """
        row = placement.header_row
        if not row:
            return {}
        style = row_styles(content, row).get(min(placement.columns.values()) - 1, 0)
        return {
            row: {
                n: cell_markup(prefix, row, n, placement.headers[name], style)
                for name, n in placement.columns.items()
            }
        }
