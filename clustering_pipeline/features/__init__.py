"""What a crop can be verified by, whatever the encoder: its product box, keypoints, descriptors and colour."""

from clustering_pipeline.features.colour import COLOUR_LENGTH, colour_histogram
from clustering_pipeline.features.extraction import extract, product_frame
from clustering_pipeline.features.keypoints import LocalFeatures, central_weight, unit_descriptors
from clustering_pipeline.features.packing import load_features, pack, unpack
from clustering_pipeline.features.product_box import product_box
from clustering_pipeline.features.stage import extract_local_features

__all__ = [
    "COLOUR_LENGTH",
    "LocalFeatures",
    "central_weight",
    "colour_histogram",
    "extract",
    "extract_local_features",
    "load_features",
    "pack",
    "product_box",
    "product_frame",
    "unit_descriptors",
    "unpack",
]
