"""Where the pack stands in a picture: objects before an even background, without captions and what
a shop lays over; the box of all that stands out from the border; and the silhouette before a plain
or evenly shaded background, for marks and products without print.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.imaging import Box, fit_within
from clustering_pipeline.stages.features.colour import colour_distance, to_lab
from clustering_pipeline.stages.features.keypoints import SILHOUETTE_SIDE
from clustering_pipeline.stages.features.templates import widened

_SEARCH_SIDE = 400
# CIE L*a*b* units that a pixel stands out from the background; lower where the border is even.
_TOLERANCE, _LEAST_TOLERANCE = 18.0, 10.0
_UNIFORM_SHARE = 0.6
# Sides of an object as shares of the picture's longer side; what is lower than a letter's height is
# print beside it.
_LETTER, _OBJECT = 0.05, 0.10
_GAP = 0.012
_MARGIN = 0.02
# An object counts beside the best one from this share of its score on.
_BESIDE = 0.45
_CENTRAL = 0.45
# Gaps in an object up to this share of the picture's longer side are closed.
_CLOSING = 0.02

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """A place of a picture that may show the product.

    Attributes:
        box: x0, y0, x1, y1, half-open pixels of the picture.
        score: larger is likelier; comparable within one picture.
    """

    box: Box
    score: float


@dataclass(frozen=True)
class Foreground:
    """What stands out from the even background of a picture.

    Attributes:
        mask: bool (rows, columns), at most 400 to a side.
        shape: height and width of the picture.
    """

    mask: Mask
    shape: tuple[int, int]

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], covered: Mask | None = None) -> "Foreground | None":
        """Return what stands out in a picture; None before another background than an even one.

        Args:
            pixels: uint8 (height, width, 3) RGB.
            covered: cells of the whole picture that a shop lays over (see `find_templates`), bool
                (rows, columns).
        """
        mask = _foreground(to_lab(fit_within(pixels, _SEARCH_SIDE)), covered)
        return None if mask is None else cls(mask, (pixels.shape[0], pixels.shape[1]))

    def regions(self) -> list[Region]:
        """Return the objects, the likeliest first."""
        regions = [
            Region(_at_full_size(box, self.mask.shape, self.shape, _MARGIN), score)
            for box, score in _objects(self.mask)
        ]
        return sorted(regions, key=lambda region: (-region.score, region.box))

    def pack(self) -> Box | None:
        """Return the box around the likeliest object and those that are nearly as likely, None
        where nothing stands out.
        """
        regions = self.regions()
        kept = [region.box for region in regions if region.score >= _BESIDE * regions[0].score]
        if not kept:
            return None
        edges = np.array(kept)
        return (
            int(edges[:, 0].min()),
            int(edges[:, 1].min()),
            int(edges[:, 2].max()),
            int(edges[:, 3].max()),
        )

    def outline(self) -> Mask:
        """Return the pixels of the picture that stand out: bool (height, width)."""
        return self._enlarged(self.mask.astype(np.uint8))

    def filled(self) -> Mask:
        """Return the same with gaps and holes in objects, which have the background's colour."""
        size = max(3, round(_CLOSING * max(self.mask.shape))) | 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        padded = np.pad(self.mask.astype(np.uint8), size)
        closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)
        outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        whole = cv2.drawContours(np.zeros_like(closed), outlines, -1, 1, cv2.FILLED)
        return self._enlarged(whole[size:-size, size:-size])

    def _enlarged(self, mask: NDArray[np.uint8] | cv2.typing.MatLike) -> Mask:
        size = (self.shape[1], self.shape[0])
        return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST) > 0, bool)


def _at_full_size(box: Box, small: tuple[int, ...], full: tuple[int, ...], margin: float) -> Box:
    """Return a box of a reduced picture in pixels of the full one, with `margin` of its longer side
    added on every side; shapes are (height, width).
    """
    (rows, columns), (height, width) = small, full
    left, top, right, bottom = np.array(box) * np.array([width / columns, height / rows] * 2)
    pad = margin * max(right - left, bottom - top)
    return (
        max(0, int(np.floor(left - pad))),
        max(0, int(np.floor(top - pad))),
        min(width, int(np.ceil(right + pad))),
        min(height, int(np.ceil(bottom + pad))),
    )


@dataclass(frozen=True)
class Uncovered:
    """What lies under the template of a crop's picture, in pixels of the crop.

    Attributes:
        covered: bool (height, width), the template and what lies beside it.
        pack: the box of the pack, None where the background is not even or the pack lies elsewhere.
        product, outline: bool (height, width), what shows the product: with its gaps, and without.
    """

    covered: Mask
    pack: Box | None
    product: Mask
    outline: Mask


def uncover(picture: NDArray[np.uint8], box: Box, cells: Mask) -> Uncovered:
    """Return what lies under a template that covers `cells`, bool (rows, columns), of an RGB
    picture, within the crop at `box`.
    """
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = box
    wide = cv2.resize(
        widened(cells).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
    )
    covered = np.asarray(wide > 0, bool)[y0:y1, x0:x1]
    foreground = Foreground.of(picture, cells)
    whole = None if foreground is None else foreground.pack()
    pack = None if whole is None else _in_crop(whole, box)
    if foreground is None or pack is None:
        return Uncovered(covered, None, ~covered, ~covered)
    product, outline = foreground.filled(), foreground.outline()
    return Uncovered(covered, pack, product[y0:y1, x0:x1], outline[y0:y1, x0:x1])


def _in_crop(pack: Box, crop: Box) -> Box | None:
    """Return a box of the picture in pixels of a crop, None unless half of it lies there."""
    low, high = np.maximum(pack[:2], crop[:2]), np.minimum(pack[2:], crop[2:])
    sides = np.maximum(high - low, 0)
    if 2 * sides.prod() < (pack[2] - pack[0]) * (pack[3] - pack[1]):
        return None
    (left, top), (right, bottom) = (low - crop[:2]).tolist(), (high - crop[:2]).tolist()
    return left, top, right, bottom


def _foreground(lab: NDArray[np.float32], covered: Mask | None) -> Mask | None:
    height, width = lab.shape[:2]
    hidden: Mask = np.zeros((height, width), bool)
    if covered is not None and covered.any():
        wide = widened(covered).astype(np.uint8)
        hidden = cv2.resize(wide, (width, height), interpolation=cv2.INTER_NEAREST) > 0
    border: Mask = np.ones((height, width), bool)
    border[2:-2, 2:-2] = False
    border = np.logical_and(border, ~hidden)
    if not border.any():
        return None
    colours = lab[border]
    background = np.median(colours, axis=0)
    apart = colour_distance(colours, background)
    near = apart <= _TOLERANCE
    if near.mean() < _UNIFORM_SHARE:
        return None
    spread = float(np.quantile(apart[near], 0.9))
    tolerance = float(np.clip(4 * spread, _LEAST_TOLERANCE, _TOLERANCE))
    return np.asarray((colour_distance(lab, background) > tolerance) & ~hidden, bool)


def _objects(foreground: Mask) -> list[tuple[Box, float]]:
    """Return the boxes of objects in pixels of the mask, and how likely each shows the product."""
    side = max(foreground.shape)
    _, _, statistics, _ = cv2.connectedComponentsWithStats(
        foreground.astype(np.uint8), connectivity=8
    )
    parts = statistics[1:]
    if len(parts) == 0:
        return []
    boxes = parts[
        :, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]
    ].astype(np.int64)
    boxes[:, 2:] += boxes[:, :2]
    areas = parts[:, cv2.CC_STAT_AREA]
    sides = boxes[:, 2:] - boxes[:, :2]
    # A word is wide and low, a letter is small; a pack is high, or wide and well filled.
    large = (sides[:, 1] >= _LETTER * side) & (sides.max(axis=1) >= _OBJECT * side)
    if not large.any():
        large = areas >= 0.1 * areas.max()
    groups = _merged(boxes[large], areas[large], _GAP * side)
    small = ~large & (areas >= 4)
    grown = [_absorbed(box, boxes[small], _GAP * side) for box, _ in groups]
    return [
        (box, _score(box, area, foreground.shape))
        for box, (_, area) in zip(grown, groups, strict=True)
    ]


def _merged(
    boxes: NDArray[np.int64], areas: NDArray[np.int32], gap: float
) -> list[tuple[Box, float]]:
    """Return boxes that overlap or nearly touch as one, with the area that they fill."""
    groups = [(np.array(box), float(area)) for box, area in zip(boxes, areas, strict=True)]
    changed = True
    while changed:
        changed = False
        for one in range(len(groups)):
            for other in range(len(groups) - 1, one, -1):
                if _apart(groups[one][0], groups[other][0]) <= gap:
                    joined = np.concatenate(
                        [
                            np.minimum(groups[one][0][:2], groups[other][0][:2]),
                            np.maximum(groups[one][0][2:], groups[other][0][2:]),
                        ]
                    )
                    groups[one] = joined, groups[one][1] + groups[other][1]
                    del groups[other]
                    changed = True
    return [((int(box[0]), int(box[1]), int(box[2]), int(box[3])), area) for box, area in groups]


def _apart(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    gaps = np.maximum(np.maximum(first[:2], second[:2]) - np.minimum(first[2:], second[2:]), 0)
    return float(gaps.max())


def _absorbed(box: Box, parts: NDArray[np.int64], gap: float) -> Box:
    """Return a box with the small parts that lie within it or stick out of it a little."""
    x0, y0, x1, y1 = box
    centres = (parts[:, :2] + parts[:, 2:]) / 2
    inside = (centres >= (x0 - gap, y0 - gap)).all(axis=1) & (centres <= (x1 + gap, y1 + gap)).all(
        axis=1
    )
    for left, top, right, bottom in parts[inside].tolist():
        x0, y0, x1, y1 = min(x0, left), min(y0, top), max(x1, right), max(y1, bottom)
    return int(x0), int(y0), int(x1), int(y1)


def _score(box: Box, area: float, shape: tuple[int, ...]) -> float:
    height, width = shape[:2]
    x0, y0, x1, y1 = box
    wide, high = x1 - x0, y1 - y0
    middle = np.array([(x0 + x1) / width - 1, (y0 + y1) / height - 1]) / (2 * _CENTRAL)
    central = float(np.exp(-0.5 * np.square(middle).sum()))
    banner = min(1.0, 3.0 * high / max(wide, 1))
    return float(np.sqrt(area / (height * width))) * central * banner


_SILHOUETTE_SEARCH = 240
# CIE L*a*b* units: how far the border may stray from an even gradient, and the least contrast of a
# shape.
_SHADING_TOLERANCE, _SMALLEST_CONTRAST = 12.0, 9.0
_UNIFORM_BORDER = 0.7
_SMALLEST_PART = 0.004


def silhouette(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the coverage of the foreground within its own bounding box, stretched to 64×64: uint8,
    0 to 255.

    The background is a plane in L*a*b* fitted to the outermost pixels; a crop whose border is no
    even gradient has an empty silhouette (zeros). Colour and contrast direction leave no trace, so
    that a white mark on red equals a black one on white.

    Example:
        >>> picture = np.full((200, 100, 3), 255, np.uint8)
        >>> picture[50:150, 30:70] = (200, 30, 30)
        >>> silhouette(picture).shape, int(silhouette(picture).min())
        ((64, 64), 255)
    """
    lab = to_lab(fit_within(crop, _SILHOUETTE_SEARCH))
    distance = _distance_from_gradient(lab)
    if distance is None:
        return np.zeros((SILHOUETTE_SIDE, SILHOUETTE_SIDE), np.uint8)
    mask = _without_specks(distance > max(_SMALLEST_CONTRAST, _otsu(distance)))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) < 4 or len(columns) < 4:
        return np.zeros((SILHOUETTE_SIDE, SILHOUETTE_SIDE), np.uint8)
    shape = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8) * 255
    size = (SILHOUETTE_SIDE, SILHOUETTE_SIDE)
    return np.asarray(cv2.resize(shape, size, interpolation=cv2.INTER_AREA), np.uint8)


def _distance_from_gradient(lab: NDArray[np.float32]) -> NDArray[np.float32] | None:
    height, width = lab.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    terms = np.stack([np.ones_like(rows), rows / height, columns / width], axis=-1).astype(
        np.float32
    )
    border = np.ones((height, width), bool)
    border[1:-1, 1:-1] = False
    border_terms, colours = terms[border], lab[border]
    inside = colour_distance(colours, np.median(colours, axis=0)) <= 3 * _SHADING_TOLERANCE
    for _ in range(3):
        if inside.mean() < _UNIFORM_BORDER:
            return None
        plane, *_ = np.linalg.lstsq(border_terms[inside], colours[inside], rcond=None)
        inside = colour_distance(colours, border_terms @ plane) <= _SHADING_TOLERANCE
    return colour_distance(lab, terms @ plane) if inside.mean() >= _UNIFORM_BORDER else None


def _otsu(distance: NDArray[np.float32]) -> float:
    threshold, _ = cv2.threshold(
        np.clip(distance, 0, 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU
    )
    return float(threshold)


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    large = statistics[:, cv2.CC_STAT_AREA] >= _SMALLEST_PART * mask.size
    large[0] = False
    return np.asarray(large[labels], bool)


_BOX_SEARCH = 360


def product_box(
    pixels: NDArray[np.uint8],
    *,
    tolerance: float = 18.0,
    uniform_share: float = 0.6,
    smallest_part: float = 0.1,
    margin: float = 0.02,
) -> Box | None:
    """Return the box of what differs from a uniform background, or None when the background is not
    uniform.

    The background is the median of the outermost pixels.

    Args:
        pixels: uint8 (height, width, 3) RGB.
        tolerance: units of CIE L*a*b* within which a pixel is background.
        uniform_share: the background is uniform when at least this share of the outermost pixels
            lies within the tolerance.
        smallest_part: components smaller than this share of the largest one are ignored.
        margin: added on every side, as a share of the box's longer side.

    Returns:
        x0, y0, x1, y1: half-open pixels of `pixels`, or None.

    Example:
        >>> picture = np.full((200, 100, 3), 255, np.uint8)
        >>> picture[50:150, 30:70] = (200, 30, 30)
        >>> product_box(picture, margin=0.0)
        (30, 50, 70, 150)
    """
    lab = to_lab(fit_within(pixels, _BOX_SEARCH))
    distance = _distance_from_background(lab, tolerance, uniform_share)
    if distance is None:
        return None
    bounds = _bounds_of_large_components(distance > tolerance, smallest_part)
    if bounds is None:
        return None
    return _at_full_size(bounds, lab.shape[:2], pixels.shape[:2], margin)


def _distance_from_background(
    lab: NDArray[np.float32], tolerance: float, uniform_share: float
) -> NDArray[np.float32] | None:
    border = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    background = np.median(border, axis=0)
    near = colour_distance(border, background) <= tolerance
    if near.mean() < uniform_share:
        return None
    return colour_distance(lab, background)


def _bounds_of_large_components(mask: NDArray[np.bool_], smallest_part: float) -> Box | None:
    count, _, statistics, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    if count < 2:
        return None
    parts = statistics[1:]
    areas = parts[:, cv2.CC_STAT_AREA]
    large = parts[areas >= smallest_part * areas.max()]
    left, top = large[:, cv2.CC_STAT_LEFT], large[:, cv2.CC_STAT_TOP]
    right, bottom = left + large[:, cv2.CC_STAT_WIDTH], top + large[:, cv2.CC_STAT_HEIGHT]
    return int(left.min()), int(top.min()), int(right.max()), int(bottom.max())
