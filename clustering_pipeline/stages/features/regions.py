"""Where the pack stands in a picture: objects before an even background, without captions and what
a shop lays over.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.imaging import Box, fit_within
from clustering_pipeline.stages.features.colour import colour_distance, to_lab
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
        (height, width), (rows, columns) = self.shape, self.mask.shape
        scale = np.array([width / columns, height / rows] * 2)
        regions = []
        for (x0, y0, x1, y1), score in _objects(self.mask):
            left, top, right, bottom = np.array([x0, y0, x1, y1]) * scale
            pad = _MARGIN * max(right - left, bottom - top)
            box = (
                max(0, int(np.floor(left - pad))),
                max(0, int(np.floor(top - pad))),
                min(width, int(np.ceil(right + pad))),
                min(height, int(np.ceil(bottom + pad))),
            )
            regions.append(Region(box, score))
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
