"""The pack itself, cut out: a label wrapped round a bottle, a tube, a jar, or on a box or
sachet.
"""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.synthetic.labels import draw_label
from clustering_pipeline.synthetic.products import Colour, Product, Shape


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
