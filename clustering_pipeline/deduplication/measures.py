"""What is measured on every crop: its quality and its hashes, from one decoding of its grey levels."""

from typing import Any

import numpy as np
import pyarrow as pa

from clustering_pipeline.deduplication.hashing import Grey, low_frequencies, phash_bits, shrink, to_hexadecimal
from clustering_pipeline.deduplication.quality import Region, measure_quality
from clustering_pipeline.imaging import Box, ImageError, cut, decode_grey
from clustering_pipeline.storage import BlobStore

CropKey = tuple[str, str, Box]

MEASURES = pa.schema(
    [
        ("sharpness", pa.float64()),
        ("brightness", pa.float64()),
        ("contrast", pa.float64()),
        ("spread", pa.float64()),
        ("detail", pa.float64()),
        ("phash", pa.string()),
        ("dhash", pa.string()),
        ("frequencies", pa.list_(pa.float32())),
        ("error", pa.string()),
    ]
)


def measure(grey: Grey, region: Region) -> dict[str, Any]:
    """Return the columns of MEASURES for a (height, width) uint8 crop."""
    square, strip = shrink(grey)
    low = low_frequencies(square)
    return {
        **vars(measure_quality(grey, region)),
        "phash": to_hexadecimal(phash_bits(low)),
        "dhash": to_hexadecimal(strip[:, 1:] > strip[:, :-1]),
        "frequencies": low.astype(np.float32).ravel(),
        "error": None,
    }


def measure_batch(crops: list[CropKey], blobs: BlobStore, region: Region) -> list[dict[str, Any]]:
    """Return one row of MEASURES with its `key` per crop (crop sha256, image sha256, box); a damaged one says why."""
    return [{"key": crop, **_measure_stored(image, box, blobs, region)} for crop, image, box in crops]


def _measure_stored(image: str, box: Box, blobs: BlobStore, region: Region) -> dict[str, Any]:
    try:
        grey = cut(decode_grey(blobs.get(image)), box)
    except ImageError as error:
        return {**dict.fromkeys(MEASURES.names), "error": str(error)}
    return measure(np.ascontiguousarray(grey), region)
