"""The labelled Excel workbook while it is put together."""

from collections.abc import Mapping

import pandas as pd

from clustering_pipeline.catalogue import OWN_COLUMNS, SelectedSheet, Table, cell_text, column_letters
from clustering_pipeline.workbook.added_sheet import AddedSheet, choose_tab_names, place, put_sheet
from clustering_pipeline.workbook.contents import Tabs
from clustering_pipeline.workbook.conversion import sheet_names, to_workbook
from clustering_pipeline.workbook.labels import cell_value
from clustering_pipeline.workbook.markup import CellValue, cell_markup
from clustering_pipeline.workbook.parts import WorkbookParts
from clustering_pipeline.workbook.placement import Placement, place_columns
from clustering_pipeline.workbook.sheet_edit import MAX_HYPERLINKS, SheetAdditions, add_to_sheet, namespace_prefix, row_styles
from clustering_pipeline.workbook.styles import add_styles


class ExcelOutput:
    """A workbook that gets our columns on the sheets with listings, and our sheets after the user's own."""

    def __init__(
        self, content: bytes, name: str, table: Table, sheets: list[SelectedSheet], max_uncompressed_megabytes: int
    ) -> None:
        """`table`: what was read of `content`; `sheets`: those with listings. Tables of other kinds are converted first."""
        is_workbook = table.kind == "xlsx"
        self._parts = WorkbookParts(content if is_workbook else to_workbook(table, sheets), name, max_uncompressed_megabytes)
        self._styles = add_styles(self._parts)
        listing_tabs = {sheet.name: sheet.name for sheet in table.sheets} if is_workbook else sheet_names(table.sheets)
        first_rows = {
            listing_tabs[sheet.name]: [cell_text(value) for value in (sheet.rows or [[]])[0]] for sheet in table.sheets
        }
        self.tabs = Tabs(
            own=choose_tab_names(self._parts.tabs, first_rows),
            listings=listing_tabs,
            placements={sheet.table.name: place_columns(sheet) for sheet in sheets},
        )

    def add_labels(self, labels: pd.DataFrame, cluster_rows: Mapping[int, int]) -> None:
        """Write the labels beside their listings; numbers in `cluster_rows` link to that row of the sheet Clusters.

        A sheet with more listings than Excel allows links has none.
        """
        for sheet, placement in self.tabs.placements.items():
            part = self._parts.sheets[self.tabs.listings[sheet]].part
            content = self._parts.read(part)
            rows = labels[labels["sheet"] == sheet]
            linked = cluster_rows if len(rows) <= MAX_HYPERLINKS else {}
            additions = self._additions(content, placement, rows, linked)
            self._parts.write(part, add_to_sheet(content, additions))

    def add_sheet(self, sheet: AddedSheet) -> None:
        """Write one of our own sheets."""
        put_sheet(self._parts, sheet, self._styles)

    def packed(self) -> bytes:
        """Return the bytes of the workbook."""
        return self._parts.packed()

    def _additions(
        self, content: bytes, placement: Placement, labels: pd.DataFrame, cluster_rows: Mapping[int, int]
    ) -> SheetAdditions:
        prefix = namespace_prefix(content)
        cells = self._header_cells(prefix, content, placement)
        links: dict[str, str] = {}
        number_column = placement.columns["cluster_id"]
        letters = column_letters(number_column)
        rows = labels["sheet_row"].astype(int)
        for row, values in zip(rows, labels[list(OWN_COLUMNS)].itertuples(index=False, name=None), strict=True):
            by_column = {name: cell_value(name, value) for name, value in zip(OWN_COLUMNS, values, strict=True)}
            number = by_column["cluster_id"]
            if number in cluster_rows:
                links[f"{letters}{row}"] = place(self.tabs.own["Clusters"], cluster_rows[int(str(number))])
            cells[row] = {
                column: self._cell(prefix, row, column, by_column[name], column == number_column and number in cluster_rows)
                for name, column in placement.columns.items()
            }
        return SheetAdditions(cells, placement.widths, links)

    def _cell(self, prefix: str, row: int, column: int, value: CellValue, is_linked: bool) -> str:
        if value is None:
            return ""
        return cell_markup(prefix, row, column, value, self._styles.link if is_linked else self._styles.of(value))

    def _header_cells(self, prefix: str, content: bytes, placement: Placement) -> dict[int, dict[int, str]]:
        """Return the header cells, in the format of the header left of them, so that ours look like the user's."""
        row = placement.header_row
        if not row:
            return {}
        style = row_styles(content, row).get(min(placement.columns.values()) - 1, 0)
        return {row: {n: cell_markup(prefix, row, n, placement.headers[name], style) for name, n in placement.columns.items()}}
