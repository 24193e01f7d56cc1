"""What is measured on every crop: its quality and its hashes, from one decoding of its grey levels."""

from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow as pa

from clustering_pipeline.deduplication.hashing import PHASH_SIDE, Grey, low_frequencies, phash_bits, shrink, to_hexadecimal
from clustering_pipeline.deduplication.quality import Region, measure_quality, normalised
from clustering_pipeline.imaging import Box, ImageError, cut, decode_grey
from clustering_pipeline.storage import BlobStore


class CropSource(NamedTuple):
    """Where a crop comes from. The main crop of a picture is compared by the whole picture, which no detection disturbs."""

    crop_sha256: str
    image_sha256: str
    box: Box
    is_main: bool

    @property
    def key(self) -> str:
        """What the measures of the crop depend on, besides settings."""
        return f"{self.crop_sha256}-{self.image_sha256}" if self.is_main else self.crop_sha256


MEASURES = pa.schema(
    [
        ("sharpness", pa.float64()),
        ("brightness", pa.float64()),
        ("contrast", pa.float64()),
        ("spread", pa.float64()),
        ("detail", pa.float64()),
        ("phash", pa.string()),
        ("dhash", pa.string()),
        ("centre_phashes", pa.list_(pa.string())),
        ("frequencies", pa.list_(pa.float32())),
        ("error", pa.string()),
    ]
)
_CENTRE_SIDE = 64
# Pixels of 64 that are cut off every side: what a copy that was cropped by 3 or 5 % on each side still shows.
_CENTRE_MARGINS = (2, 3)


def measure(picture: Grey, crop: Grey, region: Region) -> dict[str, Any]:
    """Return the columns of MEASURES: the hashes of a (height, width) uint8 picture, the quality of its crop."""
    square, strip = shrink(picture)
    low, small = low_frequencies(square), normalised(picture)
    return {
        **vars(measure_quality(small if crop is picture else normalised(crop), region)),
        "phash": to_hexadecimal(phash_bits(low)),
        "dhash": to_hexadecimal(strip[:, 1:] > strip[:, :-1]),
        "centre_phashes": _centre_phashes(small),
        "frequencies": low.astype(np.float32).ravel(),
        "error": None,
    }


def _centre_phashes(small: Grey) -> list[str]:
    square = cv2.resize(small, (_CENTRE_SIDE, _CENTRE_SIDE), interpolation=cv2.INTER_AREA)
    centres = [square[margin:-margin, margin:-margin] for margin in _CENTRE_MARGINS]
    squares = [cv2.resize(centre, (PHASH_SIDE, PHASH_SIDE), interpolation=cv2.INTER_AREA) for centre in centres]
    return [to_hexadecimal(bits) for bits in phash_bits(low_frequencies(np.stack(squares)))]


def measure_batch(crops: list[CropSource], blobs: BlobStore, region: Region) -> list[dict[str, Any]]:
    """Return one row of MEASURES with its `key` per crop; a damaged one says why."""
    return [{"key": crop.key, **_measure_stored(crop, blobs, region)} for crop in crops]


def _measure_stored(crop: CropSource, blobs: BlobStore, region: Region) -> dict[str, Any]:
    try:
        grey = decode_grey(blobs.get(crop.image_sha256))
    except ImageError as error:
        return {**dict.fromkeys(MEASURES.names), "error": str(error)}
    part = np.ascontiguousarray(cut(grey, crop.box))
    whole = grey if crop.is_main else part
    return measure(whole, whole if part.shape == whole.shape else part, region)
