"""Two products laid over each other: what differs at the same place once the light is made equal.

Siblings share their print and differ in a colour, a word or a picture. Photographs of one product
differ in light, blur and viewpoint, everywhere alike. So the light is fitted robustly, the
laid-over picture is refined by a smooth flow, and what remains is summed up per cell.
"""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.imaging.pixels import decode_image, fit_within, to_jpeg

Floats = NDArray[np.float32]
Reals = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Pixels of a frame's longer side.
SIDE = 240
# Pixels of a cell's side: differences are told per cell.
CELL = 12
_QUALITY = 92
# How many pixels the refinement may move a pixel by.
_LARGEST_SHIFT = 7.0
# Over how many pixels the refinement is smoothed, so that it cannot hide a changed word.
_SMOOTHING = 21
# Parameters of cv2.calcOpticalFlowFarneback (Farnebäck 2003), by their names there:
# pyr_scale
_PYRAMID = 0.5
# levels
_LEVELS = 3
# winsize
_FLOW_WINDOW = 15
# iterations
_ITERATIONS = 2
# poly_n, with the poly_sigma that OpenCV's reference recommends for 5
_NEIGHBOURS = 5
_SPREAD = 1.1
# Side of the window whose mean is no structure, in pixels.
_WINDOW = 13
# Variance of noise, in grey levels squared.
_NOISE = 16.0
# Standard deviation above which a cell has structure, in grey levels.
_STRUCTURE = 7.0
# Chroma of CIE L*a*b* below which a cell is grey.
_GREY = 10.0
# Chroma above which a cell is coloured.
_COLOURED = 12.0
# How far white may be off in a* and in b*.
_LARGEST_CAST = 10.0
# With fewer grey cells than this no cast is measured.
_FEWEST_GREY = 8
# Least and greatest gain of lightness and of chroma between two photographs of one product.
_WEAKEST = 0.6
_STRONGEST = 1.6
# L*a*b* differences up to this are noise.
_UNSEEN = 5.0
# A pixel is valid when more than this share of it lies within the other frame.
_VALID = 0.9
# A cell counts that lies in both frames with this share.
_COUNTED = 0.75
# A mask of the product that covers a smaller share of the frame is none.
_SMALLEST_PRODUCT = 0.1
# How much larger than the hull of agreeing keypoints is compared.
_HULL = 1.2
_FEWEST_CELLS = 4


class AlignedDifference(NamedTuple):
    """What two products show at the same place; NaN where there is nothing to compare.

    Attributes:
        covered: share of the common frame's picture that the other one covers, the smaller of both.
        cells: how many cells were compared.
        structured: share of them with structure in either.
        correlation: median normalised correlation of structured cells.
        low_correlation: its tenth percentile.
        apart: share of structured cells that do not correlate (< 0.25).
        deficit: how far cells fall below the best fifth of the pair, on average.
        worst_block: mean correlation of the 3×3 cells that correlate least.
        hue: mean hue difference in radians over cells coloured in both, weighted by chroma.
        tint: mean distance in the a*b* plane over cells coloured in either, after the light,
            weighted by chroma.
        chroma_cosine: cosine of the a*b* fields of both, 1 when colours lie alike whatever the
            saturation.
        coloured: share of cells coloured in either.
        one_coloured: share of cells that are coloured in one and grey in the other.
        lightness: median absolute difference of L* after the light.
        lightness_correlation: correlation of the cells' L*.
        patch: mean difference of the 3×3 cells that differ most, over the unseen.
        patch_over: the same over the median cell's difference.
        differing: share of cells that differ by more than twice the unseen.
        cast: how far white was off, L*a*b* units.
        gain: natural logarithm of the fitted gain of lightness, absolute.
        moved: mean shift of the refinement, pixels.
        outline: share of the two products' common area that only one covers, NaN unless both stand
            before an even background.
    """

    covered: float
    cells: float
    structured: float
    correlation: float
    low_correlation: float
    apart: float
    deficit: float
    worst_block: float
    hue: float
    tint: float
    chroma_cosine: float
    coloured: float
    one_coloured: float
    lightness: float
    lightness_correlation: float
    patch: float
    patch_over: float
    differing: float
    cast: float
    gain: float
    moved: float
    outline: float


NOTHING = AlignedDifference(*([0.0, 0.0] + [float("nan")] * (len(AlignedDifference._fields) - 2)))


class Frame(NamedTuple):
    """A product's frame as it is compared.

    Attributes:
        lab: float32 (height, width, 3) CIE L*a*b*.
        sharpness: pixels of its original per pixel.
        product: float32 (height, width), 1 where the product is and 0 where the background is; None
            where nobody knows.
    """

    lab: Floats
    sharpness: float
    product: Floats | None = None


def prepare_frame(pixels: NDArray[np.uint8], product: Mask | None = None) -> Frame:
    """Return an RGB product frame, uint8 (height, width, 3), at the size at which it is compared.

    `product`: bool (height, width), which pixels show the product where the background is even.
    """
    return _frame(fit_within(pixels, SIDE, enlarge=True), max(pixels.shape[:2]), product)


def stored_frame(pixels: NDArray[np.uint8], product: Mask | None = None) -> tuple[bytes, bytes]:
    """Return a product frame as bytes that `read_frame` reads: a JPEG file, and the packed bits of
    `product`, empty without.
    """
    scaled = fit_within(pixels, SIDE, enlarge=True)
    shown = b""
    if product is not None:
        size = (scaled.shape[1], scaled.shape[0])
        shown = np.packbits(
            cv2.resize(product.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
        ).tobytes()
    return to_jpeg(scaled, _QUALITY), shown


def read_frame(picture: bytes, shown: bytes, longest_side: int) -> Frame:
    """Return the frame that `stored_frame` wrote; `longest_side` of the original in pixels."""
    pixels = decode_image(picture)
    size = pixels.shape[0] * pixels.shape[1]
    mask = (
        np.unpackbits(np.frombuffer(shown, np.uint8), count=size).reshape(pixels.shape[:2]) > 0
        if shown
        else None
    )
    return _frame(pixels, longest_side, mask)


def _frame(scaled: NDArray[np.uint8], longest_side: int, product: Mask | None) -> Frame:
    lab = cv2.cvtColor(scaled.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    shown = None
    if product is not None and product.mean() > _SMALLEST_PRODUCT:
        size = (scaled.shape[1], scaled.shape[0])
        shown = np.asarray(
            cv2.resize(product.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32
        )
    return Frame(np.asarray(lab, np.float32), longest_side / max(scaled.shape[:2]), shown)


def compare_aligned(
    first: Frame, second: Frame, shares: Floats, support: Floats | None = None
) -> AlignedDifference:
    """Return what differs between two products whose affine map is known.

    Compared is what both show: the product where either background is even, else what lies about
    the agreeing keypoints.

    Args:
        first: the one that is compared.
        second: the other, laid over it.
        shares: float32 (2, 3), maps places of the first frame to the second, both as shares of
            width and height.
        support: float32 (n, 2), agreeing keypoints as shares of the first frame's width and height;
            the whole frame without.
    """
    matrix = _in_pixels(shares, first.lab.shape, second.lab.shape)
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if not 0.05 < scale < 20:
        return NOTHING
    if support is not None:
        support = np.asarray(
            support * np.array([first.lab.shape[1], first.lab.shape[0]]), np.float32
        )
    if scale < 1:
        # The coarser of the two is the common frame.
        if support is not None:
            support = np.asarray(support @ matrix[:, :2].T + matrix[:, 2], np.float32)
        first, second, matrix, scale = second, first, _inverse(matrix), 1 / scale
    size = (first.lab.shape[1], first.lab.shape[0])
    valid = _laid_over(np.ones(second.lab.shape[:2], np.float32), matrix, size)
    covered = float(valid.mean()) * min(1.0, _area_ratio(first, second, scale))
    # Pixels beside the edge of the other picture are mixed with the nothing beyond it.
    whole = cv2.erode((valid > _VALID).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    inside, outline = _compared(first, second, matrix, whole, support)
    if inside.sum() < _FEWEST_CELLS * CELL * CELL:
        return NOTHING
    one, other = _equally_sharp(first, second, scale)
    other, moved = _refined(one, _laid_over(other, matrix, size), inside)
    counted = inside.astype(np.float32)
    share = _cell_means(counted)
    cells = share >= _COUNTED
    if cells.sum() < _FEWEST_CELLS:
        return NOTHING
    filled = np.maximum(share, 1e-3)[..., None]
    left, right = (
        np.asarray(_cell_means(picture * counted[..., None]) / filled, np.float32)
        for picture in (one, other)
    )
    shape, colour = (
        _structure(one[..., 0], other[..., 0], inside, cells),
        _colours(left, right, cells),
    )
    return AlignedDifference._make((covered, float(cells.sum()), *shape, *colour, moved, outline))


def _compared(
    first: Frame, second: Frame, matrix: Reals, valid: Mask, support: Floats | None
) -> tuple[Mask, float]:
    """Return which pixels of the common frame are compared, and how much of the outlines only one
    product covers.
    """
    size = (valid.shape[1], valid.shape[0])
    left = None if first.product is None else first.product > 0.5
    right = None if second.product is None else _laid_over(second.product, matrix, size) > 0.5
    if left is not None and right is not None:
        either = int((valid & (left | right)).sum())
        outline = int((valid & (left ^ right)).sum()) / either if either else float("nan")
        return valid & left & right, outline
    for outlined in (left, right):
        if outlined is not None:
            return valid & outlined, float("nan")
    return (valid if support is None else valid & _about(support, valid.shape)), float("nan")


def _about(points: Floats, shape: tuple[int, ...]) -> Mask:
    """Return the pixels within the convex hull of points, made larger: bool of this shape."""
    hull = cv2.convexHull(points)[:, 0]
    middle = hull.mean(axis=0)
    wider = middle + (hull - middle) * _HULL
    mask = cv2.fillConvexPoly(np.zeros(shape, np.uint8), np.rint(wider).astype(np.int32), 1)
    return np.asarray(cv2.dilate(mask, np.ones((CELL, CELL), np.uint8)) > 0, bool)


def _in_pixels(shares: Floats, first: tuple[int, ...], second: tuple[int, ...]) -> Reals:
    to_second = np.array([[second[1]], [second[0]]], np.float64)
    scaled: Reals = shares.astype(np.float64) * to_second
    shares_there: Reals = scaled / np.array([first[1], first[0], 1.0])
    return shares_there


def _inverse(matrix: Reals) -> Reals:
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def _area_ratio(first: Frame, second: Frame, scale: float) -> float:
    """Return how large the first frame's content is within the second, as a share of the second
    frame.
    """
    one, other = first.lab.shape, second.lab.shape
    return float(scale * scale * one[0] * one[1] / (other[0] * other[1]))


def _laid_over(picture: Floats, matrix: Reals, size: tuple[int, int]) -> Floats:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT),
        np.float32,
    )


def _equally_sharp(first: Frame, second: Frame, scale: float) -> tuple[Floats, Floats]:
    """Return both L*a*b* pictures with the finer one blurred to the detail of the other; `scale` is
    at least 1.
    """
    # Pixels of the common frame that one pixel of each original fills.
    one, other = max(1.0, 1 / first.sharpness), max(1.0, 1 / second.sharpness) / scale
    other = max(other, 1 / scale)
    if other < one:
        sigma = 0.6 * float(np.sqrt(one * one - other * other)) * scale
        return first.lab, _blurred(second.lab, sigma)
    return _blurred(first.lab, 0.6 * float(np.sqrt(other * other - one * one))), second.lab


def _blurred(picture: Floats, sigma: float) -> Floats:
    return (
        picture
        if sigma < 0.3
        else np.asarray(cv2.GaussianBlur(picture, (0, 0), min(sigma, 6.0)), np.float32)
    )


def _refined(one: Floats, other: Floats, inside: Mask) -> tuple[Floats, float]:
    """Return the second picture moved by a smooth flow onto the first, and by how many pixels on
    average.

    The flow is found at half the size, where a smooth one loses nothing.
    """
    height, width = inside.shape
    half = (max(8, width // 2), max(8, height // 2))
    left, right = (
        cv2.resize(picture[..., 0], half, interpolation=cv2.INTER_AREA) for picture in (one, other)
    )
    mask = cv2.resize(inside.astype(np.uint8), half, interpolation=cv2.INTER_NEAREST)
    (mean_left, spread_left), (mean_right, spread_right) = (
        tuple(value.item() for value in cv2.meanStdDev(picture, mask=mask))
        for picture in (left, right)
    )
    gain = float(np.clip(spread_left / max(spread_right, 1e-3), 0.4, 2.5))
    levelled = np.where(mask > 0, (right - mean_right) * gain + mean_left, left)
    grey = [
        cv2.convertScaleAbs(np.clip(picture, 0, 100), alpha=2.55) for picture in (left, levelled)
    ]
    still = np.zeros((*grey[0].shape, 2), np.float32)
    flow = cv2.calcOpticalFlowFarneback(
        grey[0],
        grey[1],
        still,
        _PYRAMID,
        _LEVELS,
        _FLOW_WINDOW,
        _ITERATIONS,
        _NEIGHBOURS,
        _SPREAD,
        0,
    )
    limit, window = _LARGEST_SHIFT / 2, _SMOOTHING // 2
    flow = cv2.blur(np.clip(flow, -limit, limit), (window, window))
    moved = 2 * float(cv2.mean(np.linalg.norm(flow, axis=2), mask=mask)[0])
    places = cv2.resize(flow * 2, (width, height), interpolation=cv2.INTER_LINEAR) + _grid(
        width, height
    )
    across, down = np.ascontiguousarray(places[..., 0]), np.ascontiguousarray(places[..., 1])
    laid = cv2.remap(other, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid, np.float32), moved


@lru_cache(maxsize=64)
def _grid(width: int, height: int) -> Floats:
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)


def _cell_means(picture: Floats) -> Floats:
    rows, columns = picture.shape[0] // CELL, picture.shape[1] // CELL
    size = (max(1, columns), max(1, rows))
    cut = picture[: rows * CELL, : columns * CELL] if rows and columns else picture
    return np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.float32)


def _structure(one: Floats, other: Floats, inside: Mask, cells: Mask) -> tuple[float, ...]:
    counted = inside.astype(np.float32)
    near = cv2.blur(counted, (_WINDOW, _WINDOW)) + np.float32(1e-3)
    left, right = (_without_local_mean(picture, counted, near) for picture in (one, other))
    share = _cell_means(counted) + np.float32(1e-3)
    spread_left, spread_right, product = (
        _cell_means(values) / share for values in (left * left, right * right, left * right)
    )
    noisy = np.sqrt((spread_left + _NOISE) * (spread_right + _NOISE))
    correlation = np.asarray(product / noisy, np.float32)
    structured = cells & (np.maximum(spread_left, spread_right) > _STRUCTURE**2)
    filled = float(structured.sum() / cells.sum())
    if structured.sum() < _FEWEST_CELLS:
        return (filled, *([float("nan")] * 5))
    values = correlation[structured].astype(np.float64)
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.8))
    deficit = float(np.clip(high - values - 0.15, 0, 1).mean())
    return (
        filled,
        float(middle),
        float(low),
        float((values < 0.25).mean()),
        deficit,
        _extreme(-correlation, structured) * -1,
    )


def _without_local_mean(lightness: Floats, counted: Floats, near: Floats) -> Floats:
    """Return grey levels, less noise, less their mean over the counted pixels about them; 0
    elsewhere.
    """
    grey = cv2.blur(lightness, (3, 3)) * np.float32(2.55)
    return np.asarray(
        (grey - cv2.blur(grey * counted, (_WINDOW, _WINDOW)) / near) * counted, np.float32
    )


def _extreme(values: Floats, counted: Mask) -> float:
    """Return the largest mean of counted cells in a 3×3 window that holds at least four of them,
    else the largest of all.
    """
    weight = cv2.boxFilter(
        counted.astype(np.float32), -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    total = cv2.boxFilter(
        np.where(counted, values, 0).astype(np.float32),
        -1,
        (3, 3),
        normalize=False,
        borderType=cv2.BORDER_CONSTANT,
    )
    enough = weight >= _FEWEST_CELLS
    return (
        float((total[enough] / weight[enough]).max())
        if enough.any()
        else float(values[counted].mean())
    )


def _colours(one: Floats, other: Floats, cells: Mask) -> tuple[float, ...]:
    left, right = one[cells].astype(np.float64), other[cells].astype(np.float64)
    chroma_left, chroma_right = (np.linalg.norm(values[:, 1:], axis=1) for values in (left, right))
    cast = _cast(left, right, np.maximum(chroma_left, chroma_right))
    right = right.copy()
    right[:, 1:] -= cast
    gain, bias = _light(left[:, 0], right[:, 0])
    lightness = np.abs(left[:, 0] - (gain * right[:, 0] + bias))
    chroma_right = np.linalg.norm(right[:, 1:], axis=1)
    stronger, weaker = np.maximum(chroma_left, chroma_right), np.minimum(chroma_left, chroma_right)
    both, either = weaker > _COLOURED, stronger > _COLOURED
    hue = _hue(left, right, weaker, both)
    saturation = _saturation(left, right, both)
    apart = np.linalg.norm(left[:, 1:] - saturation * right[:, 1:], axis=1)
    tint = float(np.average(apart[either], weights=stronger[either])) if either.any() else 0.0
    norms = float(np.sqrt(np.square(left[:, 1:]).sum() * np.square(right[:, 1:]).sum()))
    cosine = (
        float((left[:, 1:] * right[:, 1:]).sum()) / norms
        if either.any() and norms > 0
        else float("nan")
    )
    difference = np.sqrt(np.square(0.5 * lightness) + np.square(apart))
    field = np.zeros(cells.shape, np.float32)
    field[cells] = difference
    patch = max(0.0, _extreme(field, cells) - _UNSEEN)
    spread = left[:, 0].std() * right[:, 0].std()
    correlation = (
        float(np.cov(left[:, 0], right[:, 0], bias=True)[0, 1] / spread)
        if spread > 1
        else float("nan")
    )
    return (
        hue,
        tint,
        cosine,
        float(either.mean()),
        float((either & (weaker < 0.4 * stronger)).mean()),
        float(np.median(lightness)),
        correlation,
        patch,
        float(patch / (_UNSEEN + np.median(difference))),
        float((difference > 2 * _UNSEEN).mean()),
        float(np.linalg.norm(cast)),
        float(abs(np.log(gain))),
    )


def _cast(left: Reals, right: Reals, chroma: Reals) -> Reals:
    """Return by how much white differs in a* and b*: the median difference of cells that are grey
    in both.
    """
    grey = (chroma < _GREY) & (np.minimum(left[:, 0], right[:, 0]) > 25)
    if grey.sum() < _FEWEST_GREY:
        return np.zeros(2)
    cast: Reals = np.median(right[grey, 1:] - left[grey, 1:], axis=0)
    return np.clip(cast, -_LARGEST_CAST, _LARGEST_CAST)


def _light(left: Reals, right: Reals) -> tuple[float, float]:
    """Return gain and bias that take the lightness of the second to the first, by reweighted least
    squares.
    """
    weights: Reals = np.ones(len(left))
    gain, bias = 1.0, 0.0
    for _ in range(4):
        total = weights.sum()
        mean_left, mean_right = (weights * left).sum() / total, (weights * right).sum() / total
        spread = (weights * np.square(right - mean_right)).sum() / total
        shared = (weights * (right - mean_right) * (left - mean_left)).sum() / total
        gain = float(np.clip((shared + 4) / (spread + 4), _WEAKEST, _STRONGEST))
        bias = float(np.clip(mean_left - gain * mean_right, -40, 40))
        weights = 1 / (1 + np.square((left - gain * right - bias) / 6))
    return gain, bias


def _hue(left: Reals, right: Reals, weaker: Reals, both: Mask) -> float:
    if both.sum() < _FEWEST_CELLS:
        return float("nan")
    turn = np.arctan2(left[both, 2], left[both, 1]) - np.arctan2(right[both, 2], right[both, 1])
    return float(np.average(np.abs(np.angle(np.exp(1j * turn))), weights=weaker[both]))


def _saturation(left: Reals, right: Reals, both: Mask) -> float:
    if both.sum() < _FEWEST_CELLS:
        return 1.0
    ratio = np.log(np.linalg.norm(left[both, 1:], axis=1) / np.linalg.norm(right[both, 1:], axis=1))
    return float(np.clip(np.exp(np.median(ratio)), _WEAKEST, _STRONGEST))
