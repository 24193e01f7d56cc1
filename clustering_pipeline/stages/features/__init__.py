"""What a crop can be verified by, whatever the encoder: its product box, keypoints, descriptors and
colour.
"""

from clustering_pipeline.stages.features.colour import (
    COLOUR_LENGTH,
    PALETTE_LENGTH,
    colour_histogram,
    palette,
)
from clustering_pipeline.stages.features.keypoints import (
    LocalFeatures,
    central_weight,
    load_features,
    pack,
    unit_descriptors,
    unpack,
)
from clustering_pipeline.stages.features.regions import product_box
from clustering_pipeline.stages.features.stage import extract, product_frame, run
from clustering_pipeline.stages.features.templates import from_text as template_from_text

__all__ = [
    "COLOUR_LENGTH",
    "PALETTE_LENGTH",
    "LocalFeatures",
    "central_weight",
    "colour_histogram",
    "extract",
    "load_features",
    "pack",
    "palette",
    "product_box",
    "product_frame",
    "run",
    "template_from_text",
    "unit_descriptors",
    "unpack",
]
