"""What is compared when two pictures may be one, and which of them is the better: worked out for
those alone.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from clustering_pipeline.imaging import ImageError, Pixels, fit_within, load_crop, resize, to_jpeg
from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.deduplication.hashing import Orientation
from clustering_pipeline.stages.deduplication.quality import (
    CropSource,
    compute_per_crop,
    fingerprint_of,
)
from clustering_pipeline.storage import BlobStore

SIDE = 32
# The longer side and the quality of the pictures in which print and colours of copies are compared.
_FINE_SIDE, _FINE_QUALITY = 320, 92
_BACKGROUND_TOLERANCE = 10
_REGIONS = 8
# The share of a side that a cropped copy still shows, and where within the original it may lie,
# from one edge to the other.
_SHARES = (0.95, 0.9, 0.85)
_PLACES = (0.0, 0.5, 1.0)
_CROPPINGS = tuple((share, x, y) for share in _SHARES for y in _PLACES for x in _PLACES)
_GOOD_ENOUGH = 0.995
# How much stronger or weaker the colours of a copy may be, as brightening makes them.
_WEAKEST, _STRONGEST = 0.7, 1.4
# Brightening clips strong colours, which takes some of their chroma and leaves their hue. Another
# product has another hue, or is white where this one is coloured.
_CHROMA_WEIGHT, _LEAST_CHROMA_LEFT = 0.5, 0.5

Thumbnails = NDArray[np.float32]

LOOKS = pa.schema(
    [
        ("thumbnail", pa.binary()),
        ("subject", pa.binary()),
        ("picture", pa.binary()),
        ("edges", pa.int64()),
        ("background", pa.float64()),
    ]
)
# A subject before a plain border that fills no more of the picture is looked at by itself: all
# small things look alike from afar.
_PLAIN, _SMALL, _SUBJECT_TOLERANCE = 0.9, 0.35, 24


def look_batch(crops: list[CropSource], blobs: BlobStore) -> list[dict[str, Any]]:
    """Return one row of LOOKS with its `key` per crop; nothing but the key of a damaged one."""
    return [{"key": crop.key, **_look_stored(crop, blobs)} for crop in crops]


def _look_stored(crop: CropSource, blobs: BlobStore) -> dict[str, Any]:
    try:
        return look(load_crop(blobs, crop.image_sha256, None if crop.is_main else crop.box))
    except ImageError:
        return dict.fromkeys(LOOKS.names)


def look(pixels: Pixels) -> dict[str, Any]:
    """Return the columns of LOOKS for a uint8 (height, width, 3) RGB crop.

    `thumbnail`: 32 × 32 RGB bytes; `subject`: the same of a small subject alone, null where there
    is none; `picture`: the whole one, small, as a JPEG file; `edges`: Canny edge pixels at full
    size; `background`: share of border pixels that lie within 10 grey levels of the border's
    median.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    background = _background(grey)
    return {
        "thumbnail": resize(pixels, SIDE, SIDE).tobytes(),
        "subject": _small_subject(pixels) if background >= _PLAIN else None,
        "picture": to_jpeg(fit_within(pixels, _FINE_SIDE), _FINE_QUALITY),
        "edges": _edge_pixels(grey),
        "background": background,
    }


def _small_subject(pixels: Pixels) -> bytes | None:
    border = np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]), axis=0)
    smooth = cv2.blur(pixels, (3, 3)).astype(np.int16)
    x, y, width, height = cv2.boundingRect(
        (np.abs(smooth - border).max(axis=2) > _SUBJECT_TOLERANCE).astype(np.uint8)
    )
    if not 0 < width * height <= _SMALL * pixels.shape[0] * pixels.shape[1]:
        return None
    return resize(np.ascontiguousarray(pixels[y : y + height, x : x + width]), SIDE, SIDE).tobytes()


def _edge_pixels(grey: NDArray[Any]) -> int:
    # Thresholds follow the picture's own contrast, so that a brightened copy has no more edges than
    # the original.
    spread = float(cv2.meanStdDev(grey)[1][0, 0])
    return int(cv2.countNonZero(cv2.Canny(grey, spread, 2 * spread)))


def _background(grey: NDArray[Any]) -> float:
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]).astype(np.int16)
    return float((np.abs(border - np.median(border)) <= _BACKGROUND_TOLERANCE).mean())


def to_lab(thumbnails: Sequence[bytes | None]) -> Thumbnails:
    """Return stored thumbnails as float32 (n, 32, 32, 3) CIE L*a*b*; missing ones are black."""
    missing = bytes(SIDE * SIDE * 3)
    stacked = (
        np.frombuffer(b"".join(one or missing for one in thumbnails), np.uint8)
        .reshape(-1, SIDE, 3)
        .astype(np.float32)
        / 255
    )
    return np.asarray(cv2.cvtColor(stacked, cv2.COLOR_RGB2LAB), np.float32).reshape(
        -1, SIDE, SIDE, 3
    )


class Likeness(NamedTuple):
    """How alike two thumbnails are once one is laid over the other.

    `correlation` is that of L*; `light` and `colour` are the largest mean difference within one of
    64 regions, of L* after evening out brightness and contrast, and in the a*b* plane after evening
    out saturation, where chroma counts half between two colours.
    """

    correlation: float
    light: float
    colour: float


def compare(a: NDArray[np.float32], b: NDArray[np.float32]) -> Likeness:
    """Return how alike two thumbnails (32, 32, 3) are, for the best of some croppings of the one or
    of the other.
    """
    best, laid_a, laid_b = _correlation(a, b), a, b
    for share, x, y in _CROPPINGS:
        if best >= _GOOD_ENOUGH:
            break
        for one, other in ((_cropped(a, share, x, y), b), (a, _cropped(b, share, x, y))):
            found = _correlation(one, other)
            if found > best:
                best, laid_a, laid_b = found, one, other
    return Likeness(
        best,
        _light_difference(laid_a[..., 0], laid_b[..., 0]),
        _colour_difference(laid_a[..., 1:], laid_b[..., 1:]),
    )


def turn(thumbnails: NDArray[Any], way: Orientation) -> NDArray[Any]:
    """Return pictures (n, height, width, 3) transposed and mirrored."""
    transpose, flip_rows, flip_columns = way
    result = thumbnails.swapaxes(1, 2) if transpose else thumbnails
    result = result[:, ::-1] if flip_rows else result
    return result[:, :, ::-1] if flip_columns else result


def _cropped(
    thumbnail: NDArray[np.float32], share: float, x: float, y: float
) -> NDArray[np.float32]:
    rest, centre = SIDE * (1 - share), share / 2 - 0.5
    matrix = np.array([[share, 0, x * rest + centre], [0, share, y * rest + centre]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(
            thumbnail, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE
        ),
        np.float32,
    )


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    light_a, light_b = a[..., 0] - a[..., 0].mean(), b[..., 0] - b[..., 0].mean()
    norms = float(np.linalg.norm(light_a) * np.linalg.norm(light_b))
    return float((light_a * light_b).sum()) / max(norms, 1e-6)


def _light_difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    gain = float(b.std()) / max(float(a.std()), 1e-6)
    difference = (a - a.mean()) * gain - (b - b.mean())
    return float(np.abs(_regions(difference[..., None])).max() / max(1.0, gain) ** 0.5)


def _colour_difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    gain = float(
        np.clip(np.linalg.norm(b) / max(float(np.linalg.norm(a)), 1e-6), _WEAKEST, _STRONGEST)
    )
    first, second = _regions(a) * gain, _regions(b)
    stronger, weaker = np.sort(
        [np.linalg.norm(first, axis=-1), np.linalg.norm(second, axis=-1)], axis=0
    )[::-1]
    chroma = stronger - weaker
    hue_squared = np.maximum(((first - second) ** 2).sum(axis=-1) - chroma**2, 0)
    weight = np.where(weaker >= _LEAST_CHROMA_LEFT * stronger, _CHROMA_WEIGHT, 1.0)
    return float(np.sqrt(hue_squared + (weight * chroma) ** 2).max())


def _regions(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of 64 regions, (8, 8, channels), of values (32, 32, channels)."""
    size = SIDE // _REGIONS
    means: NDArray[np.float32] = values.reshape(_REGIONS, size, _REGIONS, size, -1).mean(
        axis=(1, 3)
    )
    return means


def look_at(
    crops: pd.DataFrame, settings: CleanImageSettings, context: StageContext
) -> pd.DataFrame:
    """Return LOOKS, a row per crop in their order."""
    fingerprint = fingerprint_of("looks", settings.logic_version, *LOOKS.names)
    batch = partial(look_batch, blobs=context.blobs)
    return compute_per_crop(
        "Comparing look-alikes", batch, crops, LOOKS, fingerprint, settings, context
    )
