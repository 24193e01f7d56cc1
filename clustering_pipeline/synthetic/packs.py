"""A pack: what is printed on it (emblem, brand, line, kind, variant, volume, fine print); and the
pack itself, cut out: its label wrapped round a bottle, a tube, a jar, or on a box or sachet.
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


def _darker(colour: Colour, factor: float) -> Colour:
    red, green, blue = (int(min(255, value * factor)) for value in colour)
    return red, green, blue


@lru_cache(maxsize=128)
def _cylinder_maps(
    width: int, height: int, label_width: int, yaw: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where each pixel of a cylinder's front finds its print; the label spans 150 degrees of it."""
    across = np.linspace(-0.999, 0.999, width, dtype=np.float32)
    angle = np.arcsin(across) - np.deg2rad(yaw)
    x = (angle / np.deg2rad(150) + 0.5) * label_width
    map_x = np.repeat(x[None, :].astype(np.float32), height, axis=0)
    # The camera looks slightly down on it: level lines bulge.
    bulge = 0.05 * height * (1 - across**2) ** 0.5
    map_y = np.arange(height, dtype=np.float32)[:, None] * 1.05 - bulge[None, :].astype(np.float32)
    return map_x, np.ascontiguousarray(map_y, np.float32)


def _wrapped(label: NDArray[np.uint8], width: int, yaw: float, body: Colour) -> NDArray[np.uint8]:
    height = label.shape[0]
    map_x, map_y = _cylinder_maps(width, height, label.shape[1], round(yaw))
    return cv2.remap(
        label, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=body
    ).astype(np.uint8, copy=False)


def _round_shading(width: int, gloss: float) -> NDArray[np.float32]:
    """Light on an upright cylinder, (1, width, 1): dark edges and a bright streak left of the
    middle.
    """
    across = np.linspace(-1, 1, width, dtype=np.float32)
    body = 0.62 + 0.42 * np.sqrt(np.clip(1 - across**2, 0, 1))
    streak = gloss * np.exp(-(((across + 0.45) / 0.09) ** 2))
    return np.asarray(body + streak, np.float32)[None, :, None]


def _shaded(
    picture: NDArray[np.uint8], shading: NDArray[np.float32] | np.float32
) -> NDArray[np.uint8]:
    return np.asarray(np.clip(picture * shading, 0, 255), np.uint8)


def _cut_out(picture: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([picture, alpha])


def _rounded(alpha: NDArray[np.uint8], box: tuple[int, int, int, int], radius: int) -> None:
    x0, y0, x1, y1 = box
    cv2.rectangle(alpha, (x0 + radius, y0), (x1 - radius, y1), 255, -1)
    cv2.rectangle(alpha, (x0, y0 + radius), (x1, y1 - radius), 255, -1)
    for x in (x0 + radius, x1 - radius):
        for y in (y0 + radius, y1 - radius):
            cv2.circle(alpha, (x, y), radius, 255, -1, cv2.LINE_AA)


def _bottle(product: Product, yaw: float) -> NDArray[np.uint8]:
    rng = np.random.default_rng([product.design, 1])
    palette, width = product.palette, int(rng.integers(230, 300))
    label = draw_label(product)
    shoulder, cap_height = int(rng.integers(40, 90)), int(rng.integers(60, 120))
    cap_half = int(width * rng.uniform(0.16, 0.34))
    height = cap_height + shoulder + label.shape[0] + 40
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = palette.body
    top = cap_height + shoulder
    picture[top : top + label.shape[0]] = _wrapped(label, width, yaw, palette.body)
    picture[:cap_height] = _darker(palette.accent, rng.uniform(0.5, 1.1))
    alpha = np.zeros((height, width), np.uint8)
    _rounded(alpha, (0, cap_height + 6, width - 1, height - 1), min(shoulder, width // 3))
    middle = width // 2
    cv2.rectangle(alpha, (middle - cap_half, 0), (middle + cap_half, cap_height + 10), 255, -1)
    return _cut_out(_shaded(picture, _round_shading(width, rng.uniform(0.1, 0.35))), alpha)


def _tube(product: Product, yaw: float) -> NDArray[np.uint8]:
    rng = np.random.default_rng([product.design, 1])
    palette, width, label = product.palette, 280, draw_label(product)
    cap_height = int(rng.integers(50, 90))
    height = label.shape[0] + 70 + cap_height
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = palette.body
    picture[40 : 40 + label.shape[0]] = _wrapped(label, width, yaw, palette.body)
    picture[:26:4] = _darker(palette.body, 0.85)
    picture[height - cap_height :] = _darker(palette.second, rng.uniform(0.6, 1.1))
    taper, neck = rng.uniform(0.06, 0.14) * width, height - cap_height
    outline = [[0, 0], [width - 1, 0], [width - 1 - taper, neck], [taper, neck]]
    alpha = np.zeros((height, width), np.uint8)
    cv2.fillPoly(alpha, [np.array(outline, np.int32)], 255, cv2.LINE_AA)
    cap = int(taper + rng.uniform(0.02, 0.15) * width)
    _rounded(alpha, (cap, neck - 4, width - 1 - cap, height - 1), 12)
    return _cut_out(_shaded(picture, _round_shading(width, rng.uniform(0.05, 0.25))), alpha)


def _jar(product: Product, yaw: float) -> NDArray[np.uint8]:
    rng = np.random.default_rng([product.design, 1])
    palette, width, label = product.palette, 400, draw_label(product)
    lid = int(rng.integers(70, 120))
    height = lid + label.shape[0] + 30
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = palette.body
    picture[lid + 12 : lid + 12 + label.shape[0]] = _wrapped(label, width, yaw, palette.body)
    picture[:lid] = _darker(palette.second, rng.uniform(0.5, 1.1))
    alpha = np.zeros((height, width), np.uint8)
    _rounded(alpha, (0, 0, width - 1, lid), 14)
    _rounded(alpha, (8, lid - 6, width - 9, height - 1), 40)
    return _cut_out(_shaded(picture, _round_shading(width, rng.uniform(0.1, 0.3))), alpha)


def _box(product: Product, yaw: float) -> NDArray[np.uint8]:
    label = draw_label(product)
    height, width = label.shape[:2]
    side = np.empty((height, width // 3, 3), np.uint8)
    side[:] = _darker(product.palette.accent, 0.8)
    cv2.resize(
        label[:, : width // 2],
        (width // 3 - 24, height // 2),
        dst=side[height // 4 : height // 4 + height // 2, 12:-12],
    )
    turn = np.clip(abs(yaw) / 45, 0.05, 0.6)
    face_width, side_width = int(width * (1 - 0.45 * turn)), int(width * 0.5 * turn) + 4
    canvas = np.zeros((height + 40, face_width + side_width, 4), np.uint8)
    drop = int(30 * turn)
    front = (
        _shaded(label, np.float32(1.0)),
        [(0, 0), (face_width, 0), (face_width, height + 39), (0, height + 39 - drop)],
    )
    shade = (_shaded(side, np.float32(0.72)), [(face_width, 0), (face_width + side_width, drop),
             (face_width + side_width, height + 39 - drop), (face_width, height + 39)])  # fmt: skip
    for face, corners in (front, shade):
        _paste_face(canvas, face, corners)
    return canvas if yaw >= 0 else _mirrored_box(canvas, face_width)


def _paste_face(
    canvas: NDArray[np.uint8], face: NDArray[np.uint8], corners: list[tuple[int, int]]
) -> None:
    height, width = face.shape[:2]
    source = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    transform = cv2.getPerspectiveTransform(source, np.array(corners, np.float32))
    size = (canvas.shape[1], canvas.shape[0])
    opaque = np.dstack([face, np.full(face.shape[:2], 255, np.uint8)])
    warped = cv2.warpPerspective(opaque, transform, size)
    covered = warped[:, :, 3] > 0
    canvas[covered] = warped[covered]


def _mirrored_box(canvas: NDArray[np.uint8], face_width: int) -> NDArray[np.uint8]:
    """Move the side to the left of the front; the print stays readable."""
    return np.ascontiguousarray(
        np.hstack([canvas[:, face_width:][:, ::-1], canvas[:, :face_width]])
    )


def _sachet(product: Product, yaw: float) -> NDArray[np.uint8]:
    rng = np.random.default_rng([product.design, 1])
    label = draw_label(product)
    height, width = label.shape[0] + 60, label.shape[1]
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = product.palette.accent
    picture[30:-30] = label
    picture[:24:3] = _darker(product.palette.accent, 0.8)
    picture[-24::3] = _darker(product.palette.accent, 0.8)
    wrinkles = cv2.resize(
        rng.normal(0, 1, (5, 4)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    fold = 1 + 0.1 * wrinkles + 0.001 * yaw * np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return _cut_out(_shaded(picture, fold[:, :, None]), np.full((height, width), 255, np.uint8))


_PACKS: dict[Shape, Callable[[Product, float], NDArray[np.uint8]]] = {
    "bottle": _bottle,
    "tube": _tube,
    "jar": _jar,
    "box": _box,
    "sachet": _sachet,
}


@lru_cache(maxsize=128)
def cut_out_pack(product: Product, yaw: int = 0) -> NDArray[np.uint8]:
    """Return one pack seen from the front, turned by `yaw` degrees about its upright axis.

    Returns:
        (h, w, 4) uint8 RGBA, transparent round the pack; do not write into it, it is shared.
    """
    return _PACKS[product.shape](product, float(yaw))
