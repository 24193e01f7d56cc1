"""Plain marks with little print: the emblems of brands, and pictures of a mark alone as logo
collections have them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.synthetic.lettering import blend, letter

_SIDE = 256

Contour = NDArray[np.float64]


@dataclass(frozen=True)
class Mark:
    """A shape of one colour. The seed decides everything about it."""

    number: int
    seed: int


def draw_marks(count: int, seed: int = 0) -> list[Mark]:
    """Return `count` different marks."""
    states = np.random.SeedSequence([seed, 3]).generate_state(count)
    return [Mark(number, int(state)) for number, state in enumerate(states)]


def mark_mask(mark: Mark, side: int = _SIDE) -> NDArray[np.uint8]:
    """Return the mark as a (side, side) uint8 coverage mask, 255 inside."""
    rng = np.random.default_rng(mark.seed)
    draw = _DRAWINGS[mark.number % len(_DRAWINGS)]
    mask = draw(rng)
    return (
        mask
        if side == _SIDE
        else cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
    )


def render_mark(mark: Mark, seed: int, side: int = 400) -> NDArray[np.uint8]:
    """Return a picture of the mark in other colours, sizes, positions and on other backgrounds.

    Args:
        mark: what to show.
        seed: decides colours, size, turn and background.
        side: of the picture in pixels.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    rng = np.random.default_rng([mark.seed, seed])
    picture, colour = _ground_and_ink(rng, side)
    size = side * rng.uniform(0.3, 0.85)
    shift = (side - size) * rng.uniform(0.25, 0.75, 2)
    turn = np.deg2rad(rng.normal(0, 6))
    scale = size / _SIDE
    squeeze = rng.uniform(0.88, 1.12)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag(
        [scale * squeeze, scale]
    )
    centre = shift + size / 2
    offset = centre - rotation @ np.full(2, _SIDE / 2)
    mask = cv2.warpAffine(
        mark_mask(mark), np.column_stack([rotation, offset]), (side, side), flags=cv2.INTER_AREA
    )
    blend(picture, mask.astype(np.uint8, copy=False), (0, 0), colour)
    noise = rng.normal(0, rng.uniform(0, 4), picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def _ground_and_ink(
    rng: np.random.Generator, side: int
) -> tuple[NDArray[np.uint8], tuple[int, int, int]]:
    ground = rng.integers(0, 256, 3) if rng.random() < 0.6 else np.array([255, 255, 255])
    ink = rng.integers(0, 256, 3)
    # A mark that cannot be seen would be nobody's logo.
    if abs(int(ground.sum()) - int(ink.sum())) < 250:
        ink = np.full(3, 20) if ground.sum() > 382 else np.full(3, 240)
    picture: NDArray[np.uint8] = np.empty((side, side, 3), np.uint8)
    picture[:] = ground
    if rng.random() < 0.3:
        ramp = np.linspace(0, rng.uniform(-60, 60), side)[:, None, None]
        picture = np.clip(picture + ramp, 0, 255).astype(np.uint8)
    red, green, blue = (int(value) for value in ink)
    return picture, (red, green, blue)


def _filled(contours: list[Contour]) -> NDArray[np.uint8]:
    """Fill unit-square contours by the even-odd rule."""
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    points = [np.round(contour * _SIDE * 16).astype(np.int32) for contour in contours]
    cv2.fillPoly(mask, points, 255, cv2.LINE_AA, shift=4)
    return mask


def _polar(radii: NDArray[np.float64], turn: float = 0.0) -> Contour:
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False) + turn
    return np.column_stack([0.5 + radii * np.cos(angles), 0.5 + radii * np.sin(angles)])


def _circle(x: float, y: float, radius: float) -> Contour:
    return _polar(np.full(64, radius)) - 0.5 + [x, y]


def _star(rng: np.random.Generator) -> NDArray[np.uint8]:
    points = int(rng.integers(3, 12))
    radii = np.tile([0.46, 0.46 * rng.uniform(0.35, 0.75)], points)
    hole = [_circle(0.5, 0.5, rng.uniform(0.06, 0.14))] if rng.random() < 0.5 else []
    return _filled([_polar(radii, -np.pi / 2), *hole])


def _flower(rng: np.random.Generator) -> NDArray[np.uint8]:
    petals = int(rng.integers(3, 9))
    angles = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    radii = 0.3 + 0.15 * np.abs(np.cos(petals * angles / 2)) ** rng.uniform(0.5, 3)
    return _filled([_polar(radii), _circle(0.5, 0.5, rng.uniform(0.05, 0.17))])


def _rings(rng: np.random.Generator) -> NDArray[np.uint8]:
    radii = np.sort(rng.uniform(0.12, 0.46, 4))[::-1]
    shift = rng.uniform(-0.05, 0.05, (4, 2)) * rng.integers(0, 2)
    return _filled(
        [_circle(0.5 + dx, 0.5 + dy, radius) for radius, (dx, dy) in zip(radii, shift, strict=True)]
    )


def _swoosh(rng: np.random.Generator) -> NDArray[np.uint8]:
    steps = np.linspace(0, 1, 60)
    bend, lift = rng.uniform(0.2, 0.6), rng.uniform(-0.25, 0.25)
    middle = 0.6 + lift * steps - bend * np.sin(np.pi * steps ** rng.uniform(0.6, 1.8)) * 0.5
    thickness = rng.uniform(0.06, 0.2) * np.sin(np.pi * steps ** rng.uniform(0.35, 2.2))
    upper = np.column_stack([0.04 + 0.92 * steps, middle - thickness])
    lower = np.column_stack([0.04 + 0.92 * steps, middle + thickness])
    return _filled([np.vstack([upper, lower[::-1]])])


def _crescent(rng: np.random.Generator) -> NDArray[np.uint8]:
    mask = _filled([_circle(0.48, 0.5, 0.44)])
    bite = _filled(
        [_circle(rng.uniform(0.55, 0.8), rng.uniform(0.35, 0.65), rng.uniform(0.22, 0.4))]
    )
    return cv2.subtract(mask, bite).astype(np.uint8, copy=False)


def _fruit(rng: np.random.Generator) -> NDArray[np.uint8]:
    angles = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    radii = 0.34 + rng.uniform(0.02, 0.07) * np.cos(
        int(rng.integers(2, 5)) * angles + rng.uniform(0, 3)
    )
    mask = _filled([_polar(radii) + np.array([0, 0.08])])
    bite = _filled(
        [_circle(rng.uniform(0.78, 0.92), rng.uniform(0.4, 0.65), rng.uniform(0.1, 0.16))]
    )
    leaf = _filled(
        [_leaf(rng.uniform(0.5, 0.62), 0.17, rng.uniform(0.18, 0.28), rng.uniform(-1.2, -0.3))]
    )
    return cv2.max(cv2.subtract(mask, bite), leaf).astype(np.uint8, copy=False)


def _leaf(x: float, y: float, length: float, turn: float) -> Contour:
    steps = np.linspace(0, 1, 30)
    half = 0.28 * np.sin(np.pi * steps)
    outline = (
        np.vstack(
            [np.column_stack([steps - 0.5, half]), np.column_stack([steps - 0.5, -half])[::-1]]
        )
        * length
    )
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    contour: Contour = outline @ rotation + [x, y]
    return contour


def _leaves(rng: np.random.Generator) -> NDArray[np.uint8]:
    count, reach = int(rng.integers(2, 8)), rng.uniform(0.15, 0.25)
    turns = np.linspace(0, rng.choice([np.pi, 2 * np.pi]), count, endpoint=False)
    length = rng.uniform(0.25, 0.45)
    contours = [_leaf(0.5 + reach * np.cos(t), 0.5 - reach * np.sin(t), length, -t) for t in turns]
    masks = [_filled([contour]) for contour in contours]
    return _union(masks)


def _union(masks: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    union: NDArray[np.uint8] = np.maximum.reduce(masks)
    return union


def _stripes(rng: np.random.Generator) -> NDArray[np.uint8]:
    count, lean = int(rng.integers(3, 6)), rng.uniform(-0.3, 0.3)
    edges = np.linspace(0.12, 0.88, count * 2)
    tops = 0.5 - np.linspace(rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.4), count)
    bars = [
        np.array([[edges[2 * i] + lean / 4, tops[i]], [edges[2 * i + 1] + lean / 4, tops[i]],
                  [edges[2 * i + 1] - lean / 4, 0.88], [edges[2 * i] - lean / 4, 0.88]])
        for i in range(count)
    ]  # fmt: skip
    return _filled(bars)


def _chevrons(rng: np.random.Generator) -> NDArray[np.uint8]:
    count, depth = int(rng.integers(1, 4)), rng.uniform(0.15, 0.4)
    thickness = rng.uniform(0.3, 0.6) / count
    tops = np.linspace(0.08, 0.9 - depth - thickness, count) if count > 1 else [0.25]
    contours = [
        np.array([[0.08, top + depth], [0.5, top], [0.92, top + depth],
                  [0.92, top + depth + thickness], [0.5, top + thickness],
                  [0.08, top + depth + thickness]])
        for top in tops
    ]  # fmt: skip
    return _union([_filled([contour]) for contour in contours])


def _monogram(rng: np.random.Generator) -> NDArray[np.uint8]:
    ring = (
        _rings(rng)
        if rng.random() < 0.3
        else _filled([_circle(0.5, 0.5, 0.47), _circle(0.5, 0.5, rng.uniform(0.38, 0.43))])
    )
    glyph = letter(
        "ABCDEFGHKLMNPQRSTUVWXYZ"[rng.integers(23)],
        170,
        ("heavy", "serif", "italic", "wide")[rng.integers(4)],
    )
    mask = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    ink = cv2.findNonZero(glyph)
    x, y, width, height = cv2.boundingRect(ink)
    cut = np.ascontiguousarray(glyph[y : y + height, x : x + width])
    blend(mask, cut, ((_SIDE - width) // 2, (_SIDE - height) // 2), (255, 255, 255))
    return cv2.max(mask[:, :, 0], ring if rng.random() < 0.6 else np.zeros_like(ring)).astype(
        np.uint8, copy=False
    )


_DRAWINGS: tuple[Callable[[np.random.Generator], NDArray[np.uint8]], ...] = (
    _star, _flower, _rings, _swoosh, _crescent, _fruit, _leaves, _stripes, _chevrons, _monogram,
)  # fmt: skip
