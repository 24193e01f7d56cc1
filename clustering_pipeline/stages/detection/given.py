"""Boxes that the catalogue's own columns give."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages.detection.selection import Detections

NAME = "given"
GivenBoxes = Mapping[str, Detections]


def given_boxes(
    raw_images: pd.DataFrame, catalogue: pd.DataFrame, settings: CropSettings
) -> GivenBoxes:
    """Return image sha256 → the boxes that the listings of that image give, from
    `crops.given_columns` of the catalogue.

    A listing whose cells are no numbers gives no box; its picture is then its own crop. Where
    several listings share an image, each distinct box counts once. Raises InputError when the
    catalogue lacks the columns.
    """
    extras = {
        int(listing): json.loads(extra or "{}")
        for listing, extra in zip(catalogue["listing"], catalogue["extra"], strict=True)
    }
    _require_columns(extras.values(), settings)
    pairs = raw_images.loc[
        raw_images["image_sha256"].notna() & (raw_images["position"] == 0),
        ["image_sha256", "listing"],
    ]
    found: dict[str, dict[tuple[float, ...], str | None]] = {}
    for image, listing in pairs.sort_values("listing").itertuples(index=False, name=None):
        box = _box(extras[int(listing)], settings)
        if box is not None:
            found.setdefault(image, {}).setdefault(box, _word(extras[int(listing)], settings))
    return {image: _detections(boxes) for image, boxes in found.items()}


def digest_of(boxes: GivenBoxes) -> str:
    """Return the sha256 of all given boxes, for the fingerprint."""
    content = sorted(
        (image, detections.boxes.tolist(), detections.words) for image, detections in boxes.items()
    )
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _detections(boxes: Mapping[tuple[float, ...], str | None]) -> Detections:
    words = tuple(boxes.values())
    return Detections(
        np.array(list(boxes), np.float32), np.ones(len(boxes), np.float32), words, words
    )


def _box(extra: Mapping[str, Any], settings: CropSettings) -> tuple[float, ...] | None:
    try:
        box = tuple(float(str(extra[name]).replace(",", ".")) for name in settings.given_columns)
    except (KeyError, ValueError):
        return None
    return box if np.isfinite(box).all() else None


def _word(extra: Mapping[str, Any], settings: CropSettings) -> str | None:
    word = extra.get(settings.given_class_column) if settings.given_class_column else None
    return str(word) if word else None


def _require_columns(extras: Any, settings: CropSettings) -> None:
    present = {name for extra in extras for name in extra}
    missing = [name for name in settings.given_columns if name not in present]
    if missing:
        held = ", ".join(sorted(present)) or "no others"
        raise InputError(
            f"crops.detector is given, but the catalogue has no column {', '.join(missing)}; it "
            f"has {held}. Name the columns of the box (left, top, right, bottom, in pixels) in "
            "crops.given_columns."
        )
