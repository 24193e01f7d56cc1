"""What is compared when two pictures may be one, and which of them is the better: worked out for those alone."""

from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clustering_pipeline.deduplication.hashing import Orientation
from clustering_pipeline.deduplication.measures import CropKey
from clustering_pipeline.imaging import Box, ImageError, Pixels, load_crop, resize
from clustering_pipeline.storage import BlobStore

SIDE = 32
_BACKGROUND_TOLERANCE = 10
# Part of the picture that the other one may have cut off, on all sides together.
_CROPPINGS = (1.0, 0.95, 0.9)
_REGIONS = 4

Thumbnails = NDArray[np.float32]

LOOKS = pa.schema([("thumbnail", pa.binary()), ("edges", pa.int64()), ("background", pa.float64())])


def look_batch(crops: list[CropKey], blobs: BlobStore) -> list[dict[str, Any]]:
    """Return one row of LOOKS with its `key` per crop (crop sha256, image sha256, box)."""
    return [{"key": crop, **_look_stored(image, box, blobs)} for crop, image, box in crops]


def _look_stored(image: str, box: Box, blobs: BlobStore) -> dict[str, Any]:
    try:
        return look(load_crop(blobs, image, box))
    except ImageError:
        return dict.fromkeys(LOOKS.names)


def look(pixels: Pixels) -> dict[str, Any]:
    """Return the columns of LOOKS for a uint8 (height, width, 3) RGB crop.

    `thumbnail`: 32 × 32 RGB bytes; `edges`: Canny edge pixels at full size; `background`: share of border pixels that lie
    within 10 grey levels of the border's median.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return {"thumbnail": resize(pixels, SIDE, SIDE).tobytes(), "edges": _edge_pixels(grey), "background": _background(grey)}


def _edge_pixels(grey: NDArray[Any]) -> int:
    # Thresholds follow the picture's own contrast, so that a brightened copy has no more edges than the original.
    spread = float(grey.std())
    return int(cv2.countNonZero(cv2.Canny(grey, spread, 2 * spread)))


def _background(grey: NDArray[Any]) -> float:
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]).astype(np.int16)
    return float((np.abs(border - np.median(border)) <= _BACKGROUND_TOLERANCE).mean())


def to_lab(thumbnails: list[bytes]) -> Thumbnails:
    """Return stored thumbnails as float32 (n, 32, 32, 3) CIE L*a*b*."""
    stacked = np.frombuffer(b"".join(thumbnails), np.uint8).reshape(-1, SIDE, 3).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(stacked, cv2.COLOR_RGB2LAB), np.float32).reshape(-1, SIDE, SIDE, 3)


def compare(keeper: Thumbnails, others: Thumbnails) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how alike one thumbnail (32, 32, 3) and others (n, 32, 32, 3) are, float64 (n,) each.

    The first is the correlation of L*, the second the largest regional difference in a*b*, over sixteen regions; both for
    the best of a few croppings of the one or the other.
    """
    correlation, colour = np.full(len(others), -1.0), np.full(len(others), np.inf)
    for share in _CROPPINGS:
        for a, b in ((_cropped(keeper[None], share), others), (keeper[None], _cropped(others, share))):
            found = _correlation(a[..., 0], b[..., 0])
            better = found > correlation
            correlation[better] = found[better]
            colour[better] = _colour_difference(a, b)[better]
    return correlation, colour


def turn(thumbnails: Thumbnails, way: Orientation) -> Thumbnails:
    """Return thumbnails (n, 32, 32, 3) transposed and mirrored."""
    transpose, flip_rows, flip_columns = way
    result = thumbnails.swapaxes(1, 2) if transpose else thumbnails
    result = result[:, ::-1] if flip_rows else result
    return result[:, :, ::-1] if flip_columns else result


def _cropped(thumbnails: Thumbnails, share: float) -> Thumbnails:
    if share == 1:
        return thumbnails
    size = SIDE * share
    shift = (SIDE - size) / 2 + share / 2 - 0.5
    matrix = np.array([[share, 0, shift], [0, share, shift]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.stack(
        [cv2.warpAffine(one, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE) for one in thumbnails]
    )


def _correlation(a: Thumbnails, b: Thumbnails) -> NDArray[np.float64]:
    a, b = a.reshape(len(a), -1).astype(np.float64), b.reshape(len(b), -1).astype(np.float64)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    correlation: NDArray[np.float64] = (a * b).sum(axis=1) / np.maximum(norms, 1e-6)
    return correlation


def _colour_difference(a: Thumbnails, b: Thumbnails) -> NDArray[np.float64]:
    difference = _regions(a[..., 1:]) - _regions(b[..., 1:])
    largest: NDArray[np.float64] = np.linalg.norm(difference, axis=3).max(axis=(1, 2)).astype(np.float64)
    return largest


def _regions(channels: Thumbnails) -> NDArray[np.float32]:
    size = SIDE // _REGIONS
    means: NDArray[np.float32] = channels.reshape(len(channels), _REGIONS, size, _REGIONS, size, 2).mean(axis=(2, 4))
    return means
