"""From the pixels of a crop to its local features."""

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.features.colour import colour_histogram, lab_thumbnail
from clustering_pipeline.features.copies import count_copies
from clustering_pipeline.features.keypoints import LocalFeatures, detect_keypoints
from clustering_pipeline.features.product_box import product_box
from clustering_pipeline.features.silhouette import silhouette
from clustering_pipeline.imaging import Box, cut, fit_within
from clustering_pipeline.settings import LocalFeatureSettings

DEFAULT_SETTINGS = LocalFeatureSettings()


def product_frame(crop: NDArray[np.uint8], box: Box, longest_side: int) -> NDArray[np.uint8]:
    """Return the box of a crop at the normalised size: its longer side has exactly `longest_side` pixels."""
    return fit_within(cut(crop, box), longest_side, enlarge=True)


def extract(
    crop: NDArray[np.uint8], settings: LocalFeatureSettings = DEFAULT_SETTINGS
) -> tuple[LocalFeatures, NDArray[np.float32]]:
    """Return the local features and the colour histogram (float32, (576,)) of a crop, uint8 (height, width, 3) RGB."""
    height, width = crop.shape[:2]
    box = product_box(crop) or (0, 0, width, height)
    frame = product_frame(crop, box, settings.longest_side)
    points, scales, angles, descriptors = detect_keypoints(frame, settings.keypoints, settings.contrast_threshold)
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
    )
    return features, colour_histogram(frame)
