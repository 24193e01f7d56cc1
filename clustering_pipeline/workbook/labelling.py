"""The user's own workbook with our columns at the right, everything else in it untouched."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from clustering_pipeline.catalogue import OWN_COLUMNS, SelectedSheet, Table, read_table, select_sheets
from clustering_pipeline.errors import StageError
from clustering_pipeline.settings import CatalogueSettings, WorkbookSettings
from clustering_pipeline.storage import BlobStore
from clustering_pipeline.workbook.conversion import LOSSES, sheet_names, to_workbook
from clustering_pipeline.workbook.labels import cell_value, listing_labels
from clustering_pipeline.workbook.markup import CellStyles, CellValue, cell_markup
from clustering_pipeline.workbook.names import suggest_names
from clustering_pipeline.workbook.parts import WorkbookParts
from clustering_pipeline.workbook.placement import Placement, place_columns
from clustering_pipeline.workbook.sheet_edit import SheetAdditions, add_to_sheet, namespace_prefix, row_styles
from clustering_pipeline.workbook.styles import add_styles


@dataclass(frozen=True)
class LabelledWorkbook:
    """The bytes of the workbook, how many listings it labels, and what of the original could not be kept."""

    content: bytes
    rows: int
    losses: tuple[str, ...] = ()


def label_workbook(
    content: bytes,
    name: str,
    *,
    catalogue: pd.DataFrame,
    raw_images: pd.DataFrame,
    clean_images: pd.DataFrame,
    matches: pd.DataFrame,
    clusters: pd.DataFrame,
    settings: WorkbookSettings,
    catalogue_settings: CatalogueSettings,
    blobs: BlobStore,
    output_name: str,
    summary: Mapping[str, Mapping[str, str | int | float]] | None = None,
) -> LabelledWorkbook:
    """Return the workbook `content` (named `name`) with a label beside every listing.

    The tables are the manifests of one run; `catalogue_settings` those that the catalogue was read with. The suffix of
    `output_name` decides the format. `summary`: further sections of the sheet Summary, a title to names and values.
    Raises StageError when the tables do not belong to this workbook.
    """
    labels = listing_labels(catalogue, clusters, suggest_names(catalogue, clusters))
    limits = catalogue_settings.model_copy(update={"sheets": tuple(dict.fromkeys(catalogue["sheet"]))})
    table = read_table(content, name, limits)
    sheets = select_sheets(table, name, limits)
    check_same_rows(sheets, labels)
    return _label_excel(content, name, table, sheets, labels, settings, limits)


def check_same_rows(sheets: list[SelectedSheet], labels: pd.DataFrame) -> None:
    """Raise StageError when a listing's id is not on its row: the workbook was exchanged since the catalogue was read."""
    by_name = {sheet.table.name: sheet for sheet in sheets}
    for sheet, row, identifier in zip(labels["sheet"], labels["sheet_row"], labels["product_base_id"], strict=True):
        found = by_name[sheet].identifier_at(int(row))
        if found and not pd.isna(identifier) and found != identifier:
            raise StageError(
                f"Row {row} of sheet {sheet!r} holds the id {found!r}, but {identifier!r} when the catalogue was read: the workbook "
                "was exchanged since. Run `clustering-pipeline sync` to read it again."
            )


def _label_excel(
    content: bytes,
    name: str,
    table: Table,
    sheets: list[SelectedSheet],
    labels: pd.DataFrame,
    settings: WorkbookSettings,
    limits: CatalogueSettings,
) -> LabelledWorkbook:
    is_workbook = table.kind == "xlsx"
    tab_names = {sheet.name: sheet.name for sheet in table.sheets} if is_workbook else sheet_names(table.sheets)
    parts = WorkbookParts(content if is_workbook else to_workbook(table), name, limits.max_uncompressed_megabytes)
    styles = add_styles(parts)
    for sheet in sheets:
        part = parts.sheets[tab_names[sheet.table.name]].part
        rows = labels[labels["sheet"] == sheet.table.name]
        parts.write(part, add_to_sheet(parts.read(part), _additions(parts.read(part), place_columns(sheet), rows, styles)))
    losses = (LOSSES[table.kind],) if table.kind in LOSSES else ()
    return LabelledWorkbook(parts.packed(), len(labels), losses)


def _additions(content: bytes, placement: Placement, labels: pd.DataFrame, styles: CellStyles) -> SheetAdditions:
    """Return the cells of our columns on one sheet: the header in the style of its neighbour, a label beside every listing."""
    prefix = namespace_prefix(content)
    header_style = header_neighbour_style(content, placement)
    cells: dict[int, dict[int, str]] = {}
    if placement.header_row:
        row = placement.header_row
        cells[row] = {
            number: cell_markup(prefix, row, number, placement.headers[column], header_style)
            for column, number in placement.columns.items()
        }
    for row, values in zip(labels["sheet_row"], labels[list(OWN_COLUMNS)].itertuples(index=False), strict=True):
        cells[int(row)] = {
            placement.columns[column]: _label_markup(
                prefix, int(row), placement.columns[column], cell_value(column, value), styles
            )
            for column, value in zip(OWN_COLUMNS, values, strict=True)
        }
    return SheetAdditions(cells, placement.widths)


def _label_markup(prefix: str, row: int, column: int, value: CellValue, styles: CellStyles) -> str:
    return "" if value is None else cell_markup(prefix, row, column, value, styles.of(value))


def header_neighbour_style(content: bytes, placement: Placement) -> int:
    """Return the format of the header cell left of our first column, so that ours look like the user's."""
    first = min(placement.columns.values())
    return row_styles(content, placement.header_row).get(first - 1, 0)
