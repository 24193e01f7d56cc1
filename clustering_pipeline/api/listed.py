"""A table of listings as a recorded catalogue: its pictures in the store, the table as a workbook
that can be labelled.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustering_pipeline.api.pictures import bytes_of, is_url
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.stages.catalogue import CatalogueSource, SourceRecords
from clustering_pipeline.storage import BlobStore

IDS = ("id", "product_base_id")
# The columns that may hold pictures, in the order in which they are looked for.
PICTURES = ("image", "PIL", "path", "url")
TABLE = "listings.parquet"


@dataclass(frozen=True)
class _Stored:
    """A cell as the kept table has it, and the picture's bytes where it came with one."""

    cell: str
    content: bytes | None = None


def record_frame(
    frame: pd.DataFrame, name: str, records: SourceRecords, blobs: BlobStore, hosts: Iterable[str]
) -> CatalogueSource:
    """Record a frame as the category `name` and return its record.

    Its pictures are in a column `image` (PIL images, RGB arrays or bytes), `path` or `url`, its ids
    in `id` or `product_base_id`. Raises InputError for a frame without them, or a file that cannot
    be read.
    """
    ids, pictures = _column(frame, IDS, "ids"), _column(frame, PICTURES, "pictures")
    if frame.empty:
        raise InputError("The table has no row. Give a row per listing.")
    stored = [
        _stored(value, number, f"row {row} (id {identifier})")
        for number, (row, identifier, value) in enumerate(
            zip(frame.index, frame[ids], frame[pictures], strict=True)
        )
    ]
    listing = {one.cell: blobs.put(one.content) for one in stored if one.content is not None}
    table = frame.drop(columns=[ids, pictures]).rename(columns=str).reset_index(drop=True)
    table = table.apply(lambda column: column.map(_as_cell) if column.dtype == object else column)
    table.insert(0, "product_base_id", [_as_cell(value) for value in frame[ids]])
    table.insert(1, "url_thumbnail", [one.cell for one in stored])
    return records.record_bytes(
        table.to_parquet(index=False), TABLE, name, pictures=listing, hosts=hosts
    )


def _column(frame: pd.DataFrame, names: Iterable[str], what: str) -> str:
    header = next((name for name in names if name in frame.columns), None)
    if header is None:
        raise InputError(
            f"The table has no column of {what}: {' or '.join(names)}. It has "
            f"{', '.join(map(str, frame.columns)) or 'none'}; rename one of them."
        )
    return header


def _stored(value: Any, number: int, row: str) -> _Stored:
    """Return what a cell becomes; `row` names it in messages."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return _Stored("")
    if isinstance(value, str) and (is_url(value) or not value.strip()):
        return _Stored(value.strip())
    name = Path(value).name if isinstance(value, str | Path) else "picture"
    return _Stored(f"{number}/{name}", bytes_of(value, f"The picture of {row}"))


def _as_cell(value: object) -> str | None:
    """Return a value as the table file holds it: text, or nothing."""
    return None if value is None or value is pd.NA or value != value else str(value)
