"""The local features of every kept crop."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clustering_pipeline.core.manifests import LOCAL_FEATURES, conform
from clustering_pipeline.imaging import (
    Box,
    ImageError,
    cut,
    fit_within,
    load_reduced,
    masked,
    stored_frame,
)
from clustering_pipeline.settings import LocalFeatureSettings
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.stages.features.colour import colour_histogram, lab_thumbnail, palette
from clustering_pipeline.stages.features.keypoints import (
    Keypoints,
    LocalFeatures,
    count_copies,
    detect_keypoints,
    pack,
)
from clustering_pipeline.stages.features.regions import (
    Foreground,
    Mask,
    Uncovered,
    product_box,
    silhouette,
    uncover,
)
from clustering_pipeline.stages.features.templates import COLUMNS as TEMPLATE_COLUMNS
from clustering_pipeline.stages.features.templates import from_text, search_templates
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
    crop: NDArray[np.uint8],
    settings: LocalFeatureSettings = DEFAULT_SETTINGS,
    under: Uncovered | None = None,
) -> tuple[LocalFeatures, NDArray[np.float32]]:
    """Return the local features and the colour histogram (float32, (576,)) of a crop, uint8
    (height, width, 3) RGB.

    `under`: what lies under the template of its picture, where it has one.
    """
    foreground = Foreground.of(crop) if under is None else None
    return _extract(crop, settings, under, foreground)


def _extract(
    crop: NDArray[np.uint8],
    settings: LocalFeatureSettings,
    under: Uncovered | None,
    foreground: Foreground | None,
) -> tuple[LocalFeatures, NDArray[np.float32]]:
    box = _box_of(crop, under)
    shown = _product(under, foreground)
    picture, bits = stored_frame(cut(crop, box), None if shown is None else _within(shown, box))
    frame = product_frame(crop, box, settings.longest_side)
    keypoints = detect_keypoints(frame, settings.keypoints, settings.contrast_threshold)
    points, scales, angles, descriptors = (
        keypoints if under is None else _free(keypoints, _within(under.covered, box), frame.shape)
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
        silhouette=silhouette(crop if under is None else np.ascontiguousarray(cut(crop, box))),
        copies=count_copies(points, scales, angles, descriptors, settings.longest_side),
        picture=picture,
        shown=bits,
    )
    return features, colour_histogram(frame)


def _box_of(crop: NDArray[np.uint8], under: Uncovered | None) -> Box:
    box = product_box(crop) if under is None or under.pack is None else under.pack
    return box or (0, 0, crop.shape[1], crop.shape[0])


def _within(shown: NDArray[np.bool_], box: Box) -> NDArray[np.bool_]:
    x0, y0, x1, y1 = box
    return shown[y0:y1, x0:x1]


def _free(keypoints: Keypoints, covered: NDArray[np.bool_], shape: tuple[int, ...]) -> Keypoints:
    """Return the keypoints of a frame of this shape that nothing covers."""
    scale = np.array([covered.shape[1] / shape[1], covered.shape[0] / shape[0]])
    places = (keypoints[0] * scale).astype(np.int64)
    column, row = np.clip(places, 0, np.array(covered.shape[::-1]) - 1).T
    free = ~covered[row, column]
    return keypoints[0][free], keypoints[1][free], keypoints[2][free], keypoints[3][free]


def _product(under: Uncovered | None, foreground: Foreground | None) -> Mask | None:
    """Return which pixels of a crop show its product, gaps included; None where that is unknown."""
    if under is not None:
        return under.product
    return None if foreground is None else foreground.filled()


def _outline(under: Uncovered | None, foreground: Foreground | None) -> Mask | None:
    """Return the same without the gaps."""
    if under is not None:
        return under.outline
    return None if foreground is None else foreground.outline()


def product_palette(crop: NDArray[np.uint8], box: Box, outline: Mask | None) -> NDArray[np.float32]:
    """Return the palette of the product in the box of an RGB crop, of the pixels of `outline`, bool
    (height, width) of the crop, unless these are next to none.
    """
    inside = None if outline is None else _within(outline, box)
    background = None if inside is None or inside.mean() < _LEAST_SHOWN else ~inside
    return palette(np.ascontiguousarray(cut(crop, box)), background)


# The key of its row, crop, picture, box, mask, and the template that lies over the picture.
CropRow = tuple[str, str, str, Box, str | None, str | None]

# Columns that are worked out anew in every run: the crop, and what depends on all pictures.
_NOT_KEPT = ("crop_sha256", *TEMPLATE_COLUMNS)
_SCHEMA = pa.schema([field for field in LOCAL_FEATURES.schema if field.name not in _NOT_KEPT])
# Between a crop's digest and the template that lies over it.
_UNDER = "/"


def run(
    *, clean_images: pd.DataFrame, settings: LocalFeatureSettings, context: StageContext
) -> StageResult:
    """Return LOCAL_FEATURES: a row per kept crop with its product box, its colour, the blob of its
    keypoints, and the template that its picture shares with others.

    A crop whose picture cannot be read any more is left out; it then matches nothing.
    """
    kept = clean_images[clean_images["status"] == "kept"]
    templates = _templates(kept, settings, context)
    rows = {row[0]: row for row in map(partial(_crop_row, templates), kept.itertuples())}
    table = context.tables.table("local_features", settings.fingerprint(), _SCHEMA)

    def compute(missing: list[str]) -> Iterator[pd.DataFrame]:
        work = partial(_extract_batch, blobs=context.blobs, settings=settings)
        crops = [rows[key] for key in missing]
        for extracted in context.map_batches(
            work, crops, "Local features", "crop", batch_size=settings.batch_size
        ):
            yield pd.DataFrame(extracted, columns=["key", *_SCHEMA.names])

    frame = compute_missing(table, sorted(rows), compute)
    described = frame[frame["features"].notna()]
    shown = templates.reindex([rows[key][2] for key in described.index]).set_axis(described.index)
    manifest = conform(
        described.assign(
            crop_sha256=[rows[key][1] for key in described.index],
            **{name: shown[name].astype(object) for name in ("template", "template_kind")},
            template_pictures=shown["template_pictures"].fillna(0).astype(np.int64),
        ).reset_index(drop=True),
        LOCAL_FEATURES,
    )
    facts = {
        "crops": len(manifest),
        "unreadable": len(frame) - len(described),
        "keypoints_median": float(manifest["keypoints"].median()) if len(manifest) else 0.0,
        "under_a_template": int(manifest["template"].notna().sum()),
        "pictures_of_largest_template": int(manifest["template_pictures"].max() or 0)
        if len(manifest)
        else 0,
    }
    return StageResult(manifest, facts)


def _templates(
    kept: pd.DataFrame, settings: LocalFeatureSettings, context: StageContext
) -> pd.DataFrame:
    images = kept["image_sha256"].tolist() if settings.templates else []
    return search_templates(images, settings.batch_size, context)


def _crop_row(templates: pd.DataFrame, row: Any) -> CropRow:
    box = (int(row.x0), int(row.y0), int(row.x1), int(row.y1))
    crop, image = str(row.crop_sha256), str(row.image_sha256)
    cells = templates["template"].get(image)
    template = cells if isinstance(cells, str) else None
    key = crop if template is None else f"{crop}{_UNDER}{template}"
    return key, crop, image, box, row.mask, template


def _extract_batch(
    batch: list[CropRow], blobs: BlobStore, settings: LocalFeatureSettings
) -> list[dict[str, object]]:
    with threadpool_limits(1):
        return [_extract_one(row, blobs, settings) for row in batch]


def _extract_one(
    row: CropRow, blobs: BlobStore, settings: LocalFeatureSettings
) -> dict[str, object]:
    key, _, image_sha256, box, mask, template = row
    try:
        reduced = load_reduced(blobs, image_sha256, box)
        crop = masked(reduced.region, blobs.get(mask) if isinstance(mask, str) else None)
    except ImageError:
        return {"key": key, **dict.fromkeys(_SCHEMA.names)}
    under = None if template is None else uncover(reduced.picture, reduced.box, from_text(template))
    foreground = Foreground.of(crop) if under is None else None
    extracted, colour = _extract(crop, settings, under, foreground)
    features = replace(extracted, box=reduced.restored(extracted.box, box))
    edges = dict(zip(("x0", "y0", "x1", "y1"), features.box, strict=True))
    return {
        "key": key,
        **edges,
        "keypoints": len(features),
        "features": blobs.put(pack(features)),
        "colour": colour,
        "copies": features.copies,
        "palette": product_palette(crop, extracted.box, _outline(under, foreground)),
    }
