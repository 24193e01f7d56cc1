"""What is printed on a pack, and the words that are: emblem, brand, line, kind, variant, volume and
fine print.
"""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.synthetic.lettering import STYLES, Style, blend, print_text
from clustering_pipeline.synthetic.marks import Mark, mark_mask
from clustering_pipeline.synthetic.products import BRANDS, FINE_PRINT, Colour, Product, Shape

# Width and height of the printed area in pixels.
LABEL_SIZES: dict[Shape, tuple[int, int]] = {
    "bottle": (400, 420),
    "tube": (330, 470),
    "jar": (520, 240),
    "box": (370, 500),
    "sachet": (390, 500),
}

Ornament = Callable[[NDArray[np.uint8], np.random.Generator, Colour, Colour], None]


def _bands(
    label: NDArray[np.uint8], rng: np.random.Generator, first: Colour, second: Colour
) -> None:
    height, width = label.shape[:2]
    for colour in (first, second)[: int(rng.integers(1, 3))]:
        top, tilt = rng.uniform(0, 0.85) * height, rng.uniform(-0.15, 0.15) * height
        thickness = rng.uniform(0.05, 0.22) * height
        corners = [
            [0, top],
            [width, top + tilt],
            [width, top + tilt + thickness],
            [0, top + thickness],
        ]
        cv2.fillPoly(label, [np.array(corners, np.int32)], colour, cv2.LINE_AA)


def _waves(
    label: NDArray[np.uint8], rng: np.random.Generator, first: Colour, second: Colour
) -> None:
    height, width = label.shape[:2]
    across = np.arange(0, width + 4, 4)
    for level, colour in enumerate((first, second)):
        base = height * (rng.uniform(0.55, 0.75) + 0.14 * level)
        swing = rng.uniform(0.02, 0.09) * height
        curve = base + swing * np.sin(across / width * rng.uniform(4, 11) + rng.uniform(0, 6))
        outline = np.vstack([np.column_stack([across, curve]), [[width, height], [0, height]]])
        cv2.fillPoly(label, [outline.astype(np.int32)], colour, cv2.LINE_AA)


def _bubbles(
    label: NDArray[np.uint8], rng: np.random.Generator, first: Colour, second: Colour
) -> None:
    height, width = label.shape[:2]
    for _ in range(int(rng.integers(8, 26))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        radius, thickness = int(rng.integers(5, 38)), int(rng.choice([-1, 2, 4]))
        cv2.circle(label, centre, radius, (first, second)[rng.integers(2)], thickness, cv2.LINE_AA)


def _foliage(
    label: NDArray[np.uint8], rng: np.random.Generator, first: Colour, second: Colour
) -> None:
    height, width = label.shape[:2]
    root = (rng.uniform(0, 1) * width, rng.choice([0.05, 0.95]) * height)
    for _ in range(int(rng.integers(5, 13))):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.3) * height
        centre = (int(root[0] + reach * np.cos(angle)), int(root[1] + reach * np.sin(angle)))
        axes = (int(reach * 0.7), int(reach * rng.uniform(0.15, 0.3)))
        cv2.ellipse(
            label,
            centre,
            axes,
            np.rad2deg(angle),
            0,
            360,
            (first, second)[rng.integers(2)],
            -1,
            cv2.LINE_AA,
        )
        cv2.line(label, (int(root[0]), int(root[1])), centre, second, 2, cv2.LINE_AA)


def _sunburst(
    label: NDArray[np.uint8], rng: np.random.Generator, first: Colour, second: Colour
) -> None:
    height, width = label.shape[:2]
    centre = np.array([rng.uniform(0.2, 0.8) * width, rng.uniform(0.3, 0.7) * height])
    rays = int(rng.integers(7, 19))
    radius = rng.uniform(0.25, 0.6) * height
    for ray in range(rays):
        start, end = (2 * np.pi * (ray + part) / rays for part in (0.0, 0.5))
        tips = [centre + radius * np.array([np.cos(t), np.sin(t)]) for t in (start, end)]
        cv2.fillPoly(label, [np.array([centre, *tips], np.int32)], first, cv2.LINE_AA)
    cv2.circle(label, (int(centre[0]), int(centre[1])), int(radius * 0.35), second, -1, cv2.LINE_AA)


def _checks(
    label: NDArray[np.uint8], rng: np.random.Generator, first: Colour, second: Colour
) -> None:
    height, width = label.shape[:2]
    step, top = int(rng.integers(14, 34)), int(rng.uniform(0, 0.7) * height)
    for row in range(int(rng.integers(2, 6))):
        for column in range(row % 2, width // step + 1, 2):
            corner = (column * step, top + row * step)
            cv2.rectangle(
                label,
                corner,
                (corner[0] + step - 3, corner[1] + step - 3),
                (first, second)[row % 2],
                -1,
            )


def _mountains(
    label: NDArray[np.uint8], rng: np.random.Generator, first: Colour, second: Colour
) -> None:
    height, width = label.shape[:2]
    for colour, low in ((first, 0.45), (second, 0.65)):
        across = np.linspace(0, width, int(rng.integers(5, 12)))
        ridge = rng.uniform(low, low + 0.3, len(across)) * height
        outline = np.vstack([np.column_stack([across, ridge]), [[width, height], [0, height]]])
        cv2.fillPoly(label, [outline.astype(np.int32)], colour, cv2.LINE_AA)


_ORNAMENTS: tuple[Ornament, ...] = (
    _bands,
    _waves,
    _bubbles,
    _foliage,
    _sunburst,
    _checks,
    _mountains,
)


@lru_cache(maxsize=256)
def draw_label(product: Product) -> NDArray[np.uint8]:
    """Return the printed area of a pack, (h, w, 3) uint8 RGB; do not write into it, it is
    shared.
    """
    rng = np.random.default_rng(product.design)
    width, height = LABEL_SIZES[product.shape]
    palette = product.palette
    label = np.empty((height, width, 3), np.uint8)
    label[:] = palette.ground
    for index in rng.choice(len(_ORNAMENTS), int(rng.integers(1, 4)), replace=False):
        _ORNAMENTS[index](label, rng, palette.accent, palette.second)
    _draw_emblem(label, product, rng)
    _print_words(label, product, rng)
    return label


def _draw_emblem(label: NDArray[np.uint8], product: Product, rng: np.random.Generator) -> None:
    brand = BRANDS.index(product.brand)
    side = int(min(label.shape[:2]) * rng.uniform(0.2, 0.38))
    corner = (
        int(rng.uniform(0.05, 0.9) * (label.shape[1] - side)),
        int(rng.uniform(0.3, 0.65) * (label.shape[0] - side)),
    )
    blend(label, mark_mask(Mark(brand, brand), side), corner, product.palette.second)


def _print_words(label: NDArray[np.uint8], product: Product, rng: np.random.Generator) -> None:
    height, width = label.shape[:2]
    styles: list[Style] = [STYLES[index] for index in rng.integers(0, len(STYLES), 4)]
    unit, centre = height / 20, width * rng.choice([0.5, 0.5, 0.42, 0.58])
    ink, room = product.palette.ink, int(width * 0.9)
    rows = [
        (product.brand.upper() if rng.random() < 0.5 else product.brand, 2.6, styles[0]),
        (product.line, 1.9, styles[1]),
        (product.kind.vietnamese, 1.25, styles[2]),
        (product.kind.english.upper(), 0.95, "plain"),
        (product.variant, 1.6, "bold"),
    ]
    if rng.random() < 0.35:
        rows[1:4] = [rows[2], rows[3], rows[1]]
    top = rng.uniform(1.0, 2.2) * unit
    slack = (height * 0.77 - top - sum(size for _, size, _ in rows) * unit * 1.35) / len(rows)
    for text, size, style in rows:
        _print_on_plate(
            label, text, (centre, top + size * unit * 0.75), product, int(size * unit), style, room
        )
        top += size * unit * 1.35 + slack * rng.uniform(0.6, 1.0)
    for line, text in enumerate(rng.choice(FINE_PRINT, 2, replace=False)):
        print_text(
            label,
            str(text),
            (centre, height - (3.5 - 0.85 * line) * unit),
            ink,
            height=int(unit * 0.65),
            largest_width=room,
        )
    # Far from the middle of a round pack the camera would never see it.
    aside = 0.3 if product.shape in ("box", "sachet") else 0.12
    volume_at = (width * (0.5 + aside * rng.integers(-1, 2)), height - 1.35 * unit)
    print_text(
        label,
        product.volume,
        volume_at,
        ink,
        height=int(unit * 1.6),
        style="bold",
        largest_width=room,
    )


def _print_on_plate(
    label: NDArray[np.uint8],
    text: str,
    centre: tuple[float, float],
    product: Product,
    size: int,
    style: Style,
    room: int,
) -> None:
    """Print a line; where the ornament below has the colour of the ink, on a plate of the label's
    ground.
    """
    x, y = int(centre[0]), int(centre[1])
    region = label[max(0, y - size // 2) : y + size // 2, max(0, x - room // 3) : x + room // 3]
    ink = np.asarray(product.palette.ink, np.float32)
    contrast = np.abs(region.reshape(-1, 3).mean(axis=0) - ink).sum() if region.size else 765.0
    if contrast < 180:
        half = (min(room, int(len(text) * size * 0.62)) // 2 + 8, int(size * 0.72))
        cv2.rectangle(
            label,
            (x - half[0], y - half[1]),
            (x + half[0], y + half[1]),
            product.palette.ground,
            -1,
        )
    print_text(
        label, text, centre, product.palette.ink, height=size, style=style, largest_width=room
    )
