"""Decoding, cutting, scaling and encoding pictures: upright 8-bit RGB arrays of shape (height,
width, 3).
"""

from clustering_pipeline.imaging.alignment import (
    AlignedDifference,
    Frame,
    compare_aligned,
    prepare_frame,
    read_frame,
    stored_frame,
)
from clustering_pipeline.imaging.crops import (
    Box,
    crop_digest,
    cut,
    load_crop,
    load_image,
    pack_mask,
    unpack_mask,
    without_background,
)
from clustering_pipeline.imaging.headers import (
    DEFAULT_LIMITS,
    ImageError,
    ImageErrorKind,
    ImageFacts,
    ImageLimits,
    probe,
)
from clustering_pipeline.imaging.pixels import (
    Pixels,
    decode_grey,
    decode_image,
    fit_within,
    resize,
    shrunk,
    thumbnail,
    to_jpeg,
    to_png,
)

__all__ = [
    "DEFAULT_LIMITS",
    "AlignedDifference",
    "Box",
    "Frame",
    "ImageError",
    "ImageErrorKind",
    "ImageFacts",
    "ImageLimits",
    "Pixels",
    "compare_aligned",
    "crop_digest",
    "cut",
    "decode_grey",
    "decode_image",
    "fit_within",
    "load_crop",
    "load_image",
    "pack_mask",
    "prepare_frame",
    "probe",
    "read_frame",
    "resize",
    "shrunk",
    "stored_frame",
    "thumbnail",
    "to_jpeg",
    "to_png",
    "unpack_mask",
    "without_background",
]
