"""The user's own workbook with our columns at the right, everything else in it untouched."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.outputs.workbook.contents import (
    cluster_pictures,
    cluster_table,
    clusters_sheet,
    problems_sheet,
    problems_table,
    result_counts,
    summary_sheet,
)
from clustering_pipeline.outputs.workbook.edits import LABELS_MARK, store_labels
from clustering_pipeline.outputs.workbook.excel import LOSSES, ExcelOutput
from clustering_pipeline.outputs.workbook.flat import to_csv, to_parquet
from clustering_pipeline.outputs.workbook.names import suggest_names
from clustering_pipeline.outputs.workbook.notes import Sections, WorkbookNotes
from clustering_pipeline.outputs.workbook.placement import listing_labels
from clustering_pipeline.settings import CatalogueSettings, WorkbookSettings
from clustering_pipeline.stages.catalogue import SelectedSheet, read_table, select_sheets
from clustering_pipeline.storage import BlobStore


@dataclass(frozen=True)
class LabelledWorkbook:
    """The bytes of the workbook, how many listings it labels, and what of the original could not be
    kept.
    """

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
    notes: WorkbookNotes | None = None,
) -> LabelledWorkbook:
    """Return the workbook `content` (named `name`) with a label beside every listing.

    The tables are the manifests of one run; `catalogue_settings` those that the catalogue was read
    with. The suffix of `output_name` decides the format. Raises StageError when the tables do not
    belong to this workbook.
    """
    notes = notes or WorkbookNotes()
    names = suggest_names(catalogue, clusters, notes.pack_texts, notes.category_name)
    labels = listing_labels(catalogue, clusters, names)
    limits = catalogue_settings.model_copy(
        update={"sheets": tuple(dict.fromkeys(catalogue["sheet"]))}
    )
    table = read_table(content, name, limits)
    sheets = select_sheets(table, name, limits)
    check_same_rows(sheets, labels)
    suffix = Path(output_name).suffix.lower()
    if suffix == ".csv":
        return LabelledWorkbook(to_csv(sheets, labels), len(labels))
    if suffix == ".parquet":
        return LabelledWorkbook(to_parquet(content, table, sheets, labels), len(labels))
    excel = ExcelOutput(content, name, table, sheets, limits.max_uncompressed_megabytes)
    losses = (LOSSES[table.kind],) if table.kind in LOSSES else ()
    by_cluster = cluster_table(labels)
    rows = {int(number): row for row, number in enumerate(by_cluster["cluster_id"], start=2)}
    excel.add_labels(labels, rows if settings.sheets and settings.links else {})
    if settings.sheets:
        pictures = cluster_pictures(by_cluster, clean_images, blobs, settings)
        excel.add_sheet(clusters_sheet(by_cluster, excel.tabs, pictures, notes.seen))
        excel.add_sheet(problems_sheet(problems_table(catalogue, labels, raw_images), excel.tabs))
        counts = {
            **result_counts(labels, matches),
            LABELS_MARK: store_labels(labels, raw_images, notes.category, blobs),
        }
        excel.add_sheet(
            summary_sheet(excel.tabs, {"Result": counts, **notes.summary, **_not_kept(losses)})
        )
    return LabelledWorkbook(excel.packed(), len(labels), losses)


def _not_kept(losses: Sequence[str]) -> Sections:
    return (
        {"Not kept": {str(number): loss for number, loss in enumerate(losses, start=1)}}
        if losses
        else {}
    )


def check_same_rows(sheets: list[SelectedSheet], labels: pd.DataFrame) -> None:
    """Raise StageError when a listing's id is not on its row: the workbook was exchanged since the
    catalogue was read.
    """
    by_name = {sheet.table.name: sheet for sheet in sheets}
    for sheet, row, identifier in zip(
        labels["sheet"], labels["sheet_row"], labels["product_base_id"], strict=True
    ):
        found = by_name[sheet].identifier_at(int(row))
        if found and not pd.isna(identifier) and found != identifier:
            raise StageError(
                f"Row {row} of sheet {sheet!r} holds the id {found!r}, but {identifier!r} when the "
                "catalogue was read: the workbook was exchanged since. Run `clustering-pipeline "
                "sync` to read it again."
            )
