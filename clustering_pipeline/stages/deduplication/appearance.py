"""What is compared when two pictures may be one, which of them is the better, worked out for those
alone; and whether two that look alike from afar are the same at every place, in colour and in fine
print.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from clustering_pipeline.imaging import (
    AlignedDifference,
    Frame,
    ImageError,
    Pixels,
    compare_aligned,
    fit_within,
    load_crop,
    prepare_frame,
    resize,
    to_jpeg,
)
from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.deduplication.hashing import Orientation
from clustering_pipeline.stages.deduplication.quality import (
    CropSource,
    fingerprint_of,
    stream_per_crop,
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
# Thumbnails of less contrast than this are even.
_LEAST_NORM = 1e-3
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
    lowest = np.ceil(border - _SUBJECT_TOLERANCE)
    highest = np.floor(border + _SUBJECT_TOLERANCE)
    like_border = cv2.inRange(cv2.blur(pixels, (3, 3)), lowest, highest)
    x, y, width, height = cv2.boundingRect(cv2.bitwise_not(like_border))
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


def light_rows(thumbnail: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return L* of a thumbnail (32, 32, 3), then of its croppings, as rows of mean 0 and length 1:
    float32 (28, 1024), whose products are correlations.
    """
    croppings = [thumbnail, *(_cropped(thumbnail, *one) for one in _CROPPINGS)]
    rows = np.stack([one[..., 0].ravel() for one in croppings])
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _LEAST_NORM), np.float32
    )


@lru_cache(maxsize=1)
def _cropping_weights() -> sparse.csr_matrix:
    """Return what makes of L* (1024,) itself and its croppings: float32 (28 · 1024, 1024)."""
    squares = np.eye(SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE, -1)
    # OpenCV takes four channels at once; all croppings of all pixels would take 120 MB.
    four = [np.ascontiguousarray(squares[..., start : start + 4]) for start in range(0, 1024, 4)]
    croppings = [
        sparse.csr_matrix(
            np.concatenate([_cropped(one, *place) for one in four], axis=-1).reshape(-1, SIDE**2)
        )
        for place in _CROPPINGS
    ]
    return sparse.vstack(
        [sparse.identity(SIDE**2, np.float32, format="csr"), *croppings], format="csr"
    )


def quick_light_rows(thumbnails: Thumbnails) -> NDArray[np.float32]:
    """Return the `light_rows` of thumbnails (n, 32, 32, 3) but for rounding, several times faster:
    float32 (n, 28, 1024).
    """
    light = thumbnails[..., 0].reshape(len(thumbnails), -1).T
    made = np.asarray(_cropping_weights() @ light, np.float32).T.reshape(
        len(thumbnails), -1, SIDE * SIDE
    )
    made -= made.mean(axis=2, keepdims=True)
    made /= np.maximum(np.linalg.norm(made, axis=2, keepdims=True), _LEAST_NORM)
    return made


def compare(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    light_a: NDArray[np.float32],
    light_b: NDArray[np.float32],
) -> Likeness:
    """Return how alike two thumbnails (32, 32, 3) with their `light_rows` are, for the best of some
    croppings of the one or of the other.
    """
    cropped = np.stack([light_a[1:] @ light_b[0], light_b[1:] @ light_a[0]], axis=1)
    correlations = np.concatenate([[light_a[0] @ light_b[0]], cropped.ravel()])
    good = correlations >= _GOOD_ENOUGH
    # The largest croppings come first, and the first good one will do.
    chosen = int(good.argmax()) if good.any() else int(correlations.argmax())
    if chosen:
        number, is_second = divmod(chosen - 1, 2)
        place = _CROPPINGS[number]
        a, b = (a, _cropped(b, *place)) if is_second else (_cropped(a, *place), b)
    return Likeness(
        float(correlations[chosen]),
        _light_difference(a[..., 0], b[..., 0]),
        _colour_difference(a[..., 1:], b[..., 1:]),
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


def stream_looks(
    crops: pd.DataFrame, settings: CleanImageSettings, context: StageContext
) -> Iterator[tuple[NDArray[np.int64], pd.DataFrame]]:
    """Yield frames of LOOKS with the places in `crops` of their rows, until each has its own."""
    fingerprint = fingerprint_of("looks", settings.logic_version, *LOOKS.names)
    batch = partial(look_batch, blobs=context.blobs)
    yield from stream_per_crop(
        "Comparing look-alikes", batch, crops, LOOKS, fingerprint, settings, context
    )


Floats = NDArray[np.float32]

# Least correlation of the worst 3×3 cells and of the tenth percentile, and largest colour
# difference of any 3×3 cells over the unseen, of two copies. Copies that were scaled, brightened,
# cropped by 5 % and saved again at quality 40 keep them.
_LEAST_BLOCK, _LEAST_LOW, _LARGEST_PATCH, _LARGEST_HUE = 0.48, 0.5, 8.0, 0.2
# Copies are scaled and cut; what is turned is another photograph.
_LARGEST_TURN, _LARGEST_CUT = 0.012, 0.2
_SIDE = 128
_ITERATIONS, _PRECISION = 40, 1e-4
# Pixels of the longer side at which windows are compared, of a window's side, of the blur and of
# the edge that is left out; grey levels of a window with structure, and noise. Copies agree to 0.7
# and more everywhere, another digit to 0.25 at most.
_WINDOWS_SIDE, _WINDOW, _BLUR, _EDGE = 320, 11, 1.0, 8
_WINDOW_STRUCTURE, _NOISE, _LEAST_WINDOW = 14.0, 30.0, 0.5
# The sharper of two pictures is blurred by one of these until its detail is at most so many times
# the other's.
_BLURS, _SAME_DETAIL = (1.5, 2.0, 2.5, 3.0, 3.5), 1.5
_IN_PLACE = np.eye(2, 3, dtype=np.float32)


def is_one_picture(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bool:
    """Return whether two RGB pictures, uint8 (height, width, 3), are one: scaled, cut, brightened
    or saved again.

    Example:
        >>> from clustering_pipeline.imaging import decode_image, to_jpeg
        >>> noise = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
        >>> picture = noise.repeat(30, 0).repeat(30, 1)
        >>> is_one_picture(picture, decode_image(to_jpeg(picture)))
        True
        >>> is_one_picture(picture, picture[::-1])
        False
    """
    left, right = prepare_frame(first), prepare_frame(second)
    if _agree(first, second, left, right, _IN_PLACE):
        return True
    between = _between(left, right)
    return between is not _IN_PLACE and _agree(first, second, left, right, between)


def _agree(
    first: NDArray[np.uint8], second: NDArray[np.uint8], left: Frame, right: Frame, shares: Floats
) -> bool:
    return (
        is_copy(compare_aligned(left, right, shares))
        and least_agreement(first, second, shares) >= _LEAST_WINDOW
    )


def is_copy(difference: AlignedDifference) -> bool:
    """Return whether two pictures laid over each other are copies: nowhere another colour, nowhere
    other print.
    """
    if not difference.cells:
        return False
    block, low, hue = (
        np.nan_to_num(value, nan=default)
        for value, default in (
            (difference.worst_block, 1.0),
            (difference.low_correlation, 1.0),
            (difference.hue, 0.0),
        )
    )
    return bool(
        block >= _LEAST_BLOCK
        and low >= _LEAST_LOW
        and difference.patch <= _LARGEST_PATCH
        and hue <= _LARGEST_HUE
    )


def least_agreement(first: NDArray[np.uint8], second: NDArray[np.uint8], shares: Floats) -> float:
    """Return the correlation, -1 to 1, of the small window with structure in which two RGB pictures
    agree least; 1 without any.

    A window may be off by a pixel, and is small enough that one digit of small print fills it.

    Args:
        first: uint8 (height, width, 3).
        second: uint8 (height, width, 3), of another size or not.
        shares: float32 (2, 3), maps places of the first picture to the second, both as shares of
            width and height.
    """
    left, right = (
        cv2.cvtColor(fit_within(one, _WINDOWS_SIDE, enlarge=True), cv2.COLOR_RGB2GRAY)
        for one in (first, second)
    )
    height, width = left.shape
    matrix = shares.astype(np.float64) * [[right.shape[1]], [right.shape[0]]] / [width, height, 1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    right = cv2.warpAffine(
        right, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    one, other = _equally_sharp(left.astype(np.float32), right.astype(np.float32))
    inside = (slice(_EDGE, height - _EDGE), slice(_EDGE, width - _EDGE))
    mean, variance = _moments(one)
    structured = np.maximum(variance, _moments(other)[1])[inside] > _WINDOW_STRUCTURE**2
    if not structured.any():
        return 1.0
    best = np.full(structured.shape, -1, np.float32)
    for shift in ((down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)):
        moved = np.roll(other, shift, (0, 1))
        mean_moved, variance_moved = _moments(moved)
        common = cv2.blur(one * moved, (_WINDOW, _WINDOW)) - mean * mean_moved
        best = np.maximum(
            best, (common / np.sqrt((variance + _NOISE) * (variance_moved + _NOISE)))[inside]
        )
    return float(best[structured].min())


def _equally_sharp(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Return both less noise, the sharper one blurred until it has no more detail than the
    other.
    """
    one, other = _blurred(left, _BLUR), _blurred(right, _BLUR)
    least = min(_detail(one), _detail(other))
    for sigma in _BLURS:
        if max(_detail(one), _detail(other)) <= _SAME_DETAIL * least:
            break
        one = one if _detail(one) <= _SAME_DETAIL * least else _blurred(left, sigma)
        other = other if _detail(other) <= _SAME_DETAIL * least else _blurred(right, sigma)
    return one, other


def _blurred(grey: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma), np.float32)


def _detail(grey: Floats) -> float:
    return float(np.square(cv2.Laplacian(grey, cv2.CV_32F)).mean())


def _moments(grey: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance of the window about every pixel."""
    mean = np.asarray(cv2.blur(grey, (_WINDOW, _WINDOW)), np.float32)
    return mean, np.asarray(
        np.maximum(cv2.blur(grey * grey, (_WINDOW, _WINDOW)) - mean * mean, 0), np.float32
    )


def _between(first: Frame, second: Frame) -> Floats:
    """Return the affine map between two near copies, in shares of their widths and heights."""
    left, right = (
        cv2.resize(frame.lab[..., 0], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        for frame in (first, second)
    )
    everywhere = np.full(left.shape, 255, np.uint8)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ITERATIONS, _PRECISION)
    try:
        _, matrix = cv2.findTransformECC(
            left, right, _IN_PLACE.copy(), cv2.MOTION_AFFINE, criteria, everywhere, 5
        )
    except cv2.error:
        return _IN_PLACE
    shares = np.array(matrix, np.float32)
    shares[:, 2] = (matrix[:, 2] + 0.5 * (matrix[:, :2].sum(axis=1) - 1)) / _SIDE
    turned = max(abs(float(shares[0, 1])), abs(float(shares[1, 0])))
    return (
        shares
        if turned <= _LARGEST_TURN and np.abs(shares - _IN_PLACE).max() < _LARGEST_CUT
        else _IN_PLACE
    )
