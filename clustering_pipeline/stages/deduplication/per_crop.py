"""Tables of what is worked out once per crop and kept: its measures, and its look where it may be a
duplicate.
"""

from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from typing import Any

import pandas as pd
import pyarrow as pa

from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.deduplication.appearance import LOOKS, look_batch
from clustering_pipeline.stages.deduplication.quality import CropSource
from clustering_pipeline.storage import compute_missing

Batch = Callable[[list[CropSource]], list[dict[str, Any]]]


def fingerprint_of(*parts: str) -> str:
    """Return the fingerprint of what is measured, which no limit changes."""
    return sha256(" ".join(parts).encode()).hexdigest()


def compute_per_crop(
    title: str,
    batch: Batch,
    crops: pd.DataFrame,
    schema: pa.Schema,
    fingerprint: str,
    settings: CleanImageSettings,
    context: StageContext,
) -> tuple[pd.DataFrame, int]:
    """Return a row of `schema` per crop, in their order, and how many were kept from before.

    `crops`: `crop_sha256`, `image_sha256`, box and `is_main`; `batch` returns rows with a `key`
    each.
    """
    sources = {source.key: source for source in map(_source, crops.to_dict("records"))}
    table = context.tables.table("clean_images", fingerprint, schema)

    def compute(missing: list[str]) -> Iterator[pd.DataFrame]:
        with context.progress.track(title, len(missing), "crop") as bar:
            work = [sources[key] for key in missing]
            for rows in context.engine.map_batches(batch, work, batch_size=settings.batch_size):
                yield pd.DataFrame(rows, columns=["key", *schema.names])
                bar.advance(len(rows))

    return compute_missing(table, sources, compute)


def look_at(
    crops: pd.DataFrame, settings: CleanImageSettings, context: StageContext
) -> pd.DataFrame:
    """Return LOOKS, a row per crop in their order."""
    fingerprint = fingerprint_of("looks", settings.logic_version, *LOOKS.names)
    batch = partial(look_batch, blobs=context.blobs)
    return compute_per_crop(
        "Comparing look-alikes", batch, crops, LOOKS, fingerprint, settings, context
    )[0]


def _source(row: dict[Any, Any]) -> CropSource:
    box = (int(row["x0"]), int(row["y0"]), int(row["x1"]), int(row["y1"]))
    return CropSource(row["crop_sha256"], row["image_sha256"], box, bool(row["is_main"]))
