"""The local features of every kept crop."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clustering_pipeline.core.manifests import LOCAL_FEATURES, conform
from clustering_pipeline.imaging import Box, ImageError, cut, fit_within, load_crop, stored_frame
from clustering_pipeline.settings import LocalFeatureSettings
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.stages.features.colour import colour_histogram, lab_thumbnail
from clustering_pipeline.stages.features.keypoints import LocalFeatures, detect_keypoints, pack
from clustering_pipeline.stages.features.palette import palette
from clustering_pipeline.stages.features.product_region import count_copies, product_box
from clustering_pipeline.stages.features.regions import product_mask
from clustering_pipeline.stages.features.silhouette import silhouette
from clustering_pipeline.storage import BlobStore, compute_missing

DEFAULT_SETTINGS = LocalFeatureSettings()
# What shows less of the product than this share of its box tells nothing of the background.
_LEAST_SHOWN = 0.05


def product_frame(crop: NDArray[np.uint8], box: Box, longest_side: int) -> NDArray[np.uint8]:
    """Return the box of a crop at the normalised size: its longer side has exactly `longest_side`
    pixels.
    """
    return fit_within(cut(crop, box), longest_side, enlarge=True)


def extract(
    crop: NDArray[np.uint8], settings: LocalFeatureSettings = DEFAULT_SETTINGS
) -> tuple[LocalFeatures, NDArray[np.float32]]:
    """Return the local features and the colour histogram (float32, (576,)) of a crop, uint8
    (height, width, 3) RGB.
    """
    height, width = crop.shape[:2]
    box = product_box(crop) or (0, 0, width, height)
    shown = product_mask(crop)
    picture, bits = stored_frame(cut(crop, box), None if shown is None else _within(shown, box))
    frame = product_frame(crop, box, settings.longest_side)
    points, scales, angles, descriptors = detect_keypoints(
        frame, settings.keypoints, settings.contrast_threshold
    )
    features = LocalFeatures(
        box=box,
        width=frame.shape[1],
        height=frame.shape[0],
        points=points,
        scales=scales,
        angles=angles,
        descriptors=descriptors,
        thumbnail=lab_thumbnail(frame),
        silhouette=silhouette(crop),
        copies=count_copies(points, scales, angles, descriptors, settings.longest_side),
        picture=picture,
        shown=bits,
    )
    return features, colour_histogram(frame)


def _within(shown: NDArray[np.bool_], box: Box) -> NDArray[np.bool_]:
    x0, y0, x1, y1 = box
    return shown[y0:y1, x0:x1]


def product_palette(crop: NDArray[np.uint8], box: Box) -> NDArray[np.float32]:
    """Return the palette of the product in the box of an RGB crop, without the background where
    that is even.
    """
    shown = product_mask(crop, filled=False)
    inside = None if shown is None else _within(shown, box)
    background = None if inside is None or inside.mean() < _LEAST_SHOWN else ~inside
    return palette(np.ascontiguousarray(cut(crop, box)), background)


CropRow = tuple[str, str, Box, str | None]

_SCHEMA = pa.schema([field for field in LOCAL_FEATURES.schema if field.name != "crop_sha256"])


def run(
    *, clean_images: pd.DataFrame, settings: LocalFeatureSettings, context: StageContext
) -> StageResult:
    """Return LOCAL_FEATURES: a row per kept crop with its product box, its colour and the blob of
    its keypoints.

    A crop whose picture cannot be read any more is left out; it then matches nothing.
    """
    kept = clean_images[clean_images["status"] == "kept"]
    rows = {str(row.crop_sha256): _crop_row(row) for row in kept.itertuples()}
    table = context.tables.table("local_features", settings.fingerprint(), _SCHEMA)

    def compute(missing: list[str]) -> Iterator[pd.DataFrame]:
        work = partial(_extract_batch, blobs=context.blobs, settings=settings)
        with context.progress.track("Local features", len(missing), "crop") as bar:
            for found in context.engine.map_batches(
                work, [rows[key] for key in missing], batch_size=settings.batch_size
            ):
                bar.advance(len(found))
                yield pd.DataFrame(found, columns=["key", *_SCHEMA.names])

    frame = compute_missing(table, sorted(rows), compute)
    described = frame[frame["features"].notna()]
    manifest = conform(described.rename_axis("crop_sha256").reset_index(), LOCAL_FEATURES)
    facts = {
        "crops": len(manifest),
        "unreadable": len(frame) - len(described),
        "keypoints_median": float(manifest["keypoints"].median()) if len(manifest) else 0.0,
    }
    return StageResult(manifest, facts)


def _crop_row(row: object) -> CropRow:
    box = tuple(int(getattr(row, edge)) for edge in ("x0", "y0", "x1", "y1"))
    return str(row.crop_sha256), str(row.image_sha256), box, row.mask  # type: ignore[attr-defined, return-value]


def _extract_batch(
    batch: list[CropRow], blobs: BlobStore, settings: LocalFeatureSettings
) -> list[dict[str, object]]:
    with threadpool_limits(1):
        return [_extract_one(row, blobs, settings) for row in batch]


def _extract_one(
    row: CropRow, blobs: BlobStore, settings: LocalFeatureSettings
) -> dict[str, object]:
    crop_sha256, image_sha256, box, mask = row
    try:
        crop = load_crop(blobs, image_sha256, box, mask=mask)
    except ImageError:
        return {"key": crop_sha256, **dict.fromkeys(_SCHEMA.names)}
    features, colour = extract(crop, settings)
    edges = dict(zip(("x0", "y0", "x1", "y1"), features.box, strict=True))
    return {
        "key": crop_sha256,
        **edges,
        "keypoints": len(features),
        "features": blobs.put(pack(features)),
        "colour": colour,
        "copies": features.copies,
        "palette": product_palette(crop, features.box),
    }
