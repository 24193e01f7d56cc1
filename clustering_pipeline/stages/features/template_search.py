"""The templates of a category's pictures, found again only where a picture or what it is compared
with is new.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clustering_pipeline.imaging import ImageError, load_image
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.features.templates import (
    CELLS,
    find_templates,
    layout,
    to_text,
)
from clustering_pipeline.storage import BlobStore, compute_missing

# Raised by whoever changes what a layout or a template is.
_VERSION = "2"
# Every picture is compared with so many at most, those whose hashes come first.
REFERENCES = 1200
COLUMNS = ("template", "template_kind", "template_pictures")
_LAYOUT = pa.schema([("layout", pa.binary())])
_TEMPLATE = pa.schema(
    [("template", pa.string()), ("template_kind", pa.string()), ("share", pa.float64())]
)


def search_templates(images: Sequence[str], batch_size: int, context: StageContext) -> pd.DataFrame:
    """Return per distinct picture (sha256, the index) its `template`, the covered cells as
    `to_text` writes them or None, `template_kind`, which is the same for all pictures under one
    template, and `template_pictures`, how many these are: an estimate beyond 1,200 pictures.
    """
    names = sorted(set(images))
    layouts = _layouts(names, batch_size, context)
    readable = [name for name in names if len(layouts[name])]
    references = readable[:REFERENCES]
    compared = hashlib.sha256("".join(references).encode()).hexdigest()[:24]

    def compute(missing: list[str]) -> Iterator[pd.DataFrame]:
        if missing:
            found = find_templates(
                [_read(layouts[name]) for name in missing],
                [_read(layouts[name]) for name in references],
            )
            texts = [to_text(cells) if cells.any() else None for cells in found.covered]
            kinds = [None if kind < 0 else references[kind] for kind in found.kinds.tolist()]
            yield pd.DataFrame(
                {
                    "key": missing,
                    "template": texts,
                    "template_kind": kinds,
                    "share": found.shares,
                }
            )

    table = context.tables.table("templates", f"{_VERSION}-{compared}", _TEMPLATE)
    rows = compute_missing(table, readable, compute)
    shared = np.rint(rows["share"].to_numpy(np.float64) * len(readable)).astype(np.int64)
    return rows.assign(template_pictures=shared)[list(COLUMNS)].reindex(names)


def _layouts(images: Sequence[str], batch_size: int, context: StageContext) -> dict[str, bytes]:
    """Return the layouts of pictures as bytes; none of a picture that cannot be read any more."""

    def compute(missing: list[str]) -> Iterator[pd.DataFrame]:
        work = partial(_layout_batch, blobs=context.blobs)
        with context.progress.track("Templates", len(missing), "picture") as bar:
            for found in context.engine.map_batches(work, missing, batch_size=batch_size):
                bar.advance(len(found))
                yield pd.DataFrame(found, columns=["key", *_LAYOUT.names])

    rows = compute_missing(
        context.tables.table("picture_layouts", _VERSION, _LAYOUT), images, compute
    )
    return dict(zip(rows.index, rows["layout"], strict=True))


def _layout_batch(batch: list[str], blobs: BlobStore) -> list[tuple[str, bytes]]:
    with threadpool_limits(1):
        return [(image, _layout_of(image, blobs)) for image in batch]


def _layout_of(image: str, blobs: BlobStore) -> bytes:
    try:
        return layout(load_image(blobs, image)).tobytes()
    except ImageError:
        return b""


def _read(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8).reshape(CELLS * CELLS, -1)
