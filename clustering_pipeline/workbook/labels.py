"""What is written beside each listing."""

from typing import Any

import pandas as pd

from clustering_pipeline.catalogue import OWN_COLUMNS
from clustering_pipeline.errors import StageError
from clustering_pipeline.workbook.markup import CellValue

CONFIDENCE_DECIMALS = 3


def listing_labels(catalogue: pd.DataFrame, clusters: pd.DataFrame, names: dict[int, str]) -> pd.DataFrame:
    """Return `listing`, `sheet`, `sheet_row`, `product_base_id` and our columns, `crop_sha256`,
    `weakest_link`, in the order of the catalogue.

    `names`: cluster number to suggested name; one that a person gave goes before it.
    Raises StageError when a listing has no row among the clusters: none may be lost.
    """
    columns = ["listing", "sheet", "sheet_row", "product_base_id"]
    labels = catalogue[columns].merge(clusters, on="listing", how="left", validate="one_to_one").sort_values("listing")
    lost = labels[labels["status"].isna()]
    if len(lost):
        raise StageError(
            f"{len(lost):,} listings of the catalogue have no result, the first on row {lost['sheet_row'].iloc[0]} of sheet "
            f"{lost['sheet'].iloc[0]!r}: the clusters belong to another state of the catalogue. Run `clustering-pipeline sync`."
        )
    suggested = [None if pd.isna(number) else names.get(int(number)) for number in labels["cluster_id"]]
    labels["cluster_name"] = labels["cluster_name"].where(labels["cluster_name"].notna(), pd.Series(suggested, labels.index))
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
        return round(float(value), CONFIDENCE_DECIMALS)
    return bool(value) if column == "is_representative" else str(value)
