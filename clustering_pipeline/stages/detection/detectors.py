"""The detectors by name, and the boxes that they return."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from clustering_pipeline.core.facts import Facts
from clustering_pipeline.imaging import Pixels
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.detection.faster_rcnn import FasterRcnnDetector
from clustering_pipeline.stages.detection.given import NAME
from clustering_pipeline.stages.detection.grounded import GroundingDinoDetector, Owlv2Detector
from clustering_pipeline.stages.detection.selection import Detections
from clustering_pipeline.stages.detection.yolo_world import YoloWorldDetector
from clustering_pipeline.stages.features import product_box
from clustering_pipeline.stages.prompts import Prompt


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
