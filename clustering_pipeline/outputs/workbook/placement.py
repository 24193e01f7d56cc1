"""Where our columns and pictures stand on a sheet, and what they are called there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.core.own_columns import (
    OWN_COLUMNS,
    OWN_HEADERS,
    OWN_PREFIX,
    WorkbookLanguage,
    own_name,
)
from clustering_pipeline.outputs.workbook.ooxml.parts import CellValue, Share
from clustering_pipeline.outputs.workbook.ooxml.sheet_edit import MAX_COLUMN
from clustering_pipeline.stages.catalogue import SelectedSheet

WIDTHS = {
    "cluster_id": 11.0,
    "cluster_name": 36.0,
    "cluster_size": 11.0,
    "is_representative": 16.0,
    "confidence": 11.0,
    "status": 16.0,
    "reason": 48.0,
}


@dataclass(frozen=True)
class Placement:
    """Our columns on one sheet: the number and header of each, and which of them an earlier run had
    added.
    """

    header_row: int
    columns: dict[str, int]
    headers: dict[str, str]
    already_there: frozenset[str]

    @property
    def widths(self) -> dict[int, float]:
        """Widths of the columns that are new, in characters; those that are there keep what a
        person gave them.
        """
        return {
            number: WIDTHS[name]
            for name, number in self.columns.items()
            if name not in self.already_there
        }


def place_columns(sheet: SelectedSheet, language: WorkbookLanguage = "en") -> Placement:
    """Return where our columns go: those of an earlier run stay where they are, new ones stand
    right of everything else.

    A name that the user has already gets a prefix. Raises InputError when the sheet has no room
    left.
    """
    own = {name: number for number, name in _named(sheet).items()}
    last = max(
        [sheet.table.details.last_column, *map(len, sheet.table.rows), *_merged_columns(sheet)]
    )
    missing = [name for name in OWN_COLUMNS if name not in own]
    if last + len(missing) > MAX_COLUMN:
        raise InputError(
            f"Sheet {sheet.table.name!r} has no room for our columns: it is used up to column "
            f"{last:,} of {MAX_COLUMN:,}. Delete columns that are not needed."
        )
    users = [
        text
        for number, text in enumerate(sheet.columns.headers, start=1)
        if number not in sheet.columns.own
    ]
    columns = own | {name: last + position for position, name in enumerate(missing, start=1)}
    headers = {name: sheet.columns.headers[number - 1] for name, number in own.items()}
    words = OWN_HEADERS[language]
    headers |= {name: free_name(words[name], users) for name in missing}
    return Placement(sheet.columns.header_row, columns, headers, frozenset(own))


def _merged_columns(sheet: SelectedSheet) -> list[int]:
    """Return the last columns of merged cells from the header row on, which would hide ours; one to
    the edge is none.
    """
    reaching = (
        last for _, _, row, last in sheet.table.details.merged if row >= sheet.columns.header_row
    )
    return [last for last in reaching if last + len(OWN_COLUMNS) <= MAX_COLUMN]


def _named(sheet: SelectedSheet) -> dict[int, str]:
    named = ((number, own_name(sheet.columns.headers[number - 1])) for number in sheet.columns.own)
    return {number: name for number, name in named if name is not None}


def free_name(name: str, taken: Sequence[str]) -> str:
    """Return `name`, with the prefix as often as it takes to differ from what is taken."""
    lower = {text.strip().casefold() for text in taken}
    while name.casefold() in lower:
        name = f"{OWN_PREFIX}{name}"
    return name


CONFIDENCE_DECIMALS = 3


def listing_labels(
    catalogue: pd.DataFrame, clusters: pd.DataFrame, names: dict[int, str]
) -> pd.DataFrame:
    """Return `listing`, `sheet`, `sheet_row`, `product_base_id` and our columns, `crop_sha256`,
    `weakest_link`, in the order of the catalogue.

    `names`: cluster number to suggested name; one that a person gave goes before it.
    Raises StageError when a listing has no row among the clusters: none may be lost.
    """
    columns = ["listing", "sheet", "sheet_row", "product_base_id"]
    labels = (
        catalogue[columns]
        .merge(clusters, on="listing", how="left", validate="one_to_one")
        .sort_values("listing")
    )
    lost = labels[labels["status"].isna()]
    if len(lost):
        raise StageError(
            f"{len(lost):,} listings of the catalogue have no result, the first on row "
            f"{lost['sheet_row'].iloc[0]} of sheet {lost['sheet'].iloc[0]!r}: the clusters belong "
            "to another state of the catalogue. Run `clustering-pipeline sync`."
        )
    suggested = [
        None if pd.isna(number) else names.get(int(number)) for number in labels["cluster_id"]
    ]
    labels["cluster_name"] = labels["cluster_name"].where(
        labels["cluster_name"].notna(), pd.Series(suggested, labels.index)
    )
    labels["is_representative"] = labels["is_representative"].where(labels["status"] == "clustered")
    return labels[[*columns, *OWN_COLUMNS, "crop_sha256", "weakest_link"]].reset_index(drop=True)


def present(value: Any) -> Any:
    """Return a value of a table, None where it is missing in any of pandas' ways."""
    return None if value is None or value is pd.NA or value != value else value


def cell_value(column: str, value: Any) -> CellValue:
    """Return what a cell of one of our columns holds; None for an empty one."""
    value = present(value)
    if value is None:
        return None
    if column in ("cluster_id", "cluster_size"):
        return int(value)
    if column == "confidence":
        return Share(round(float(value), CONFIDENCE_DECIMALS))
    return bool(value) if column == "is_representative" else str(value)
