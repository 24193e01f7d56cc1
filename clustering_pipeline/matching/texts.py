"""The text on packs, read once per crop and kept."""

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd
import pyarrow as pa

from clustering_pipeline.features import product_frame
from clustering_pipeline.imaging import Box, ImageError, load_crop
from clustering_pipeline.matching.products import Products
from clustering_pipeline.matching.text_reader import TextLine, lines_from_json, lines_to_json, open_reader
from clustering_pipeline.settings import TextReaderSettings
from clustering_pipeline.stage import StageContext
from clustering_pipeline.storage import BlobStore, FeatureTable, compute_missing

_SCHEMA = pa.schema([("lines", pa.string())])

Place = tuple[str, str, Box, Box]


def read_texts(
    products: Products, rows: Sequence[int], settings: TextReaderSettings, context: StageContext
) -> tuple[dict[int, list[TextLine]], int]:
    """Return the lines on the packs at `rows`, by row, and how many packs came from the cache."""
    places = {
        text_key(products.crops[row], products.product_boxes[row]): (
            products.images[row],
            products.boxes[row],
            products.product_boxes[row],
        )
        for row in rows
    }

    def compute(missing: list[str]) -> Iterator[pd.DataFrame]:
        if not missing:
            return
        work = partial(_read_batch, blobs=context.blobs, settings=settings)
        with context.progress.track("Text on packs", len(missing), "picture") as bar:
            items: list[Place] = [(key, *places[key]) for key in missing]
            for found in context.engine.map_batches(work, items, batch_size=settings.batch_size):
                bar.advance(len(found))
                yield pd.DataFrame(found, columns=["key", *_SCHEMA.names])

    frame, cached = compute_missing(_table(settings, context), places, compute)
    return {row: lines_from_json(content) for row, content in zip(rows, frame["lines"], strict=True)}, cached


def held_texts(
    places: Sequence[tuple[str, Box]], settings: TextReaderSettings, context: StageContext
) -> dict[str, list[TextLine]]:
    """Return the lines that were read before, by crop; `places` are crops and the product's box within each."""
    keys = {text_key(crop, box): crop for crop, box in places}
    frame = _table(settings, context).read(list(keys))
    return {keys[str(key)]: lines_from_json(content) for key, content in frame["lines"].items()}


def text_key(crop_sha256: str, product_box: Box) -> str:
    """Return the cache key of a pack's text: the crop and the box that was read."""
    return f"{crop_sha256}:{','.join(map(str, product_box))}"


def _table(settings: TextReaderSettings, context: StageContext) -> FeatureTable:
    return context.tables.table("pack_text", settings.fingerprint(), _SCHEMA)


def _read_batch(batch: list[Place], blobs: BlobStore, settings: TextReaderSettings) -> list[tuple[str, str]]:
    return [(key, _read_one(image, box, product, blobs, settings)) for key, image, box, product in batch]


def _read_one(image: str, box: Box, product: Box, blobs: BlobStore, settings: TextReaderSettings) -> str:
    try:
        crop = load_crop(blobs, image, box)
    except ImageError:
        return lines_to_json([])
    return lines_to_json(open_reader(settings).read(product_frame(crop, product, settings.longest_side)))
