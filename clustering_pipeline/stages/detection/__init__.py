"""Where the product is in a picture: detectors, the choice among their boxes, and the crops."""

from clustering_pipeline.stages.detection.contact_sheet import write_contact_sheet
from clustering_pipeline.stages.detection.detectors import (
    DETECTORS,
    ContourDetector,
    Detector,
    make_detector,
)
from clustering_pipeline.stages.detection.selection import (
    Detections,
    Selected,
    intersection_over_union,
    select,
)
from clustering_pipeline.stages.detection.stage import run
from clustering_pipeline.stages.detection.trained import make_segmenter

__all__ = [
    "DETECTORS",
    "ContourDetector",
    "Detections",
    "Detector",
    "Selected",
    "intersection_over_union",
    "make_detector",
    "make_segmenter",
    "run",
    "select",
    "write_contact_sheet",
]
