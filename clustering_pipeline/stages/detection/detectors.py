"""The detectors by name, the boxes that they return, and the boxes that the catalogue's own columns
give.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.hardware import Precision
from clustering_pipeline.core.progress import Facts
from clustering_pipeline.imaging import Pixels
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.detection.selection import Detections
from clustering_pipeline.stages.detection.trained import (
    FasterRcnnDetector,
    GroundingDinoDetector,
    Owlv2Detector,
    YoloWorldDetector,
)
from clustering_pipeline.stages.features import product_box
from clustering_pipeline.stages.prompts import Prompt

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
    boxes_of: dict[str, dict[tuple[float, ...], str | None]] = {}
    for image, listing in pairs.sort_values("listing").itertuples(index=False, name=None):
        box = _box(extras[int(listing)], settings)
        if box is not None:
            boxes_of.setdefault(image, {}).setdefault(box, _word(extras[int(listing)], settings))
    return {image: _detections(boxes) for image, boxes in boxes_of.items()}


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
        columns = ", ".join(sorted(present)) or "no others"
        raise InputError(
            f"crops.detector is given, but the catalogue has no column {', '.join(missing)}; it "
            f"has {columns}. Name the columns of the box (left, top, right, bottom, in pixels) in "
            "crops.given_columns."
        )


class Detector(Protocol):
    """Finds products in pictures. The constructor takes the settings and does nothing heavy."""

    name: str
    default_score: float
    uses_prompts: bool
    # Light detectors run inside the engine's workers, batch by batch; models stay in the process
    # that loaded them.
    runs_in_workers: bool

    def identity(self, context: StageContext, /) -> str:
        """Return what the result depends on besides settings and prompts, such as the digest of the
        weights.
        """

    def precision(self, context: StageContext, /) -> Precision:
        """Return the number format that a run here computes in; "auto" where there is one only."""

    def load(self, context: StageContext) -> None:
        """Get ready to detect; raises StageError that names the remedy when the model cannot be
        loaded.
        """

    def facts(self, context: StageContext, /) -> Facts:
        """Return what a person wants to know of the detector beside its name, such as its
        device.
        """

    def release(self) -> None:
        """Give the memory of the model back; `load` makes the detector usable again."""

    def detect(self, images: Sequence[Pixels], prompts: Sequence[Prompt], /) -> list[Detections]:
        """Return the detections of each uint8 (height, width, 3) RGB picture, in order, whatever
        the batch.
        """


class WholeImageDetector:
    """Finds nothing, so that every picture is its own crop."""

    name = "off"
    default_score = 0.0
    uses_prompts = False
    runs_in_workers = True

    def identity(self, _context: StageContext) -> str:
        """Return the same for every picture and setting."""
        return self.name

    def precision(self, _context: StageContext) -> Precision:
        """Return "auto": nothing is computed in short numbers."""
        return "auto"

    def load(self, context: StageContext) -> None:
        """Nothing to load."""

    def facts(self, _context: StageContext) -> Facts:
        """Return nothing: there is no device."""
        return {}

    def release(self) -> None:
        """Nothing to give back."""

    def detect(self, images: Sequence[Pixels], _prompts: Sequence[Prompt]) -> list[Detections]:
        """Return no box for any picture."""
        return [Detections.none() for _ in images]


class ContourDetector(WholeImageDetector):
    """The box of what differs from a plain background, without trained weights; nothing on a busy
    one.
    """

    name = "contour"

    def __init__(self, settings: CropSettings) -> None:
        self.settings = settings

    def identity(self, _context: StageContext) -> str:
        """Return the version of the rule."""
        return "contour 1"

    def detect(self, images: Sequence[Pixels], _prompts: Sequence[Prompt]) -> list[Detections]:
        """Return at most one box per picture, with the score 1."""
        return [self._detect_one(pixels) for pixels in images]

    @staticmethod
    def _detect_one(pixels: Pixels) -> Detections:
        # The stage adds the padding of the settings.
        box = product_box(pixels, margin=0.0)
        if box is None:
            return Detections.none()
        return Detections(np.array([box], np.float32), np.ones(1, np.float32), (None,), (None,))


class GivenDetector(WholeImageDetector):
    """Boxes come from the catalogue's columns (`given_boxes`); a picture that no listing gives a
    box for is its own crop.
    """

    name = NAME

    def __init__(self, settings: CropSettings) -> None:
        self.settings = settings


DETECTORS: dict[str, Callable[[CropSettings], Detector]] = {
    "contour": ContourDetector,
    "yolo-world": YoloWorldDetector,
    "grounding-dino": GroundingDinoDetector,
    "owlv2": Owlv2Detector,
    "faster-rcnn": FasterRcnnDetector,
    "given": GivenDetector,
}


def make_detector(settings: CropSettings) -> Detector:
    """Return the detector that the settings ask for, not yet loaded."""
    if settings.crop == "off":
        return WholeImageDetector()
    return DETECTORS[settings.detector](settings)
