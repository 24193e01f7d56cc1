"""A seller's photograph of a product: background, pose, light, and everything that the shop puts on
top.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.synthetic.lettering import print_text
from clustering_pipeline.synthetic.packs import cut_out_pack
from clustering_pipeline.synthetic.products import BANNERS, SHOPS, STICKERS, Colour, Product

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Seller:
    """A shop and what it puts on each of its pictures: the same frame, banner and stickers every
    time.
    """

    number: int
    name: str
    seed: int
    has_frame: bool
    has_banner: bool
    stickers: int
    has_watermark: bool

    @property
    def is_plain(self) -> bool:
        """Whether the shop leaves its pictures as they are."""
        return not (self.has_frame or self.has_banner or self.stickers or self.has_watermark)


def draw_sellers(count: int, seed: int = 0, *, all_decorated: bool = False) -> list[Seller]:
    """Return `count` shops; with `all_decorated` each one has a frame and stickers on everything it
    lists.
    """
    sellers = []
    for number in range(count):
        rng = np.random.default_rng([seed, 4, number])
        decorated = all_decorated or rng.random() < 0.6
        sellers.append(
            Seller(
                number=number,
                name=SHOPS[number % len(SHOPS)],
                seed=int(rng.integers(2**31)),
                has_frame=decorated and (all_decorated or rng.random() < 0.6),
                has_banner=decorated and rng.random() < 0.6,
                stickers=int(rng.integers(1, 4))
                if all_decorated
                else int(decorated) * int(rng.integers(0, 3)),
                has_watermark=decorated and rng.random() < 0.3,
            )
        )
    return sellers


@dataclass(frozen=True)
class Pose:
    """How far a photograph strays from a studio picture; 0 is a studio picture, 1 a careless
    one.
    """

    carelessness: float = 0.6
    side: int = 520


STUDIO = Pose(carelessness=0.0)
CARELESS = Pose(carelessness=1.0)


def photograph(
    product: Product, seller: Seller | None, seed: int, pose: Pose | None = None
) -> Picture:
    """Return a seller's picture of a product.

    Args:
        product: what is shown; its `packs` are shown beside each other.
        seller: whose frame, banner and stickers are put on it; None for none.
        seed: decides background, pose, light and camera.
        pose: how careless the photograph is and how large; drawn from the seed by default.

    Returns:
        (h, w, 3) uint8 RGB; the longer side is `pose.side` pixels.
    """
    rng = np.random.default_rng([product.design, product.number, seed])
    if pose is None:
        pose = Pose(carelessness=float(rng.choice([0.0, 0.35, 0.7, 1.0], p=[0.25, 0.25, 0.3, 0.2])))
    picture = _draw_background(rng, pose)
    _place(picture, _arrange(product, rng, pose), rng, pose)
    picture = _light(picture, rng, pose)
    if seller is not None and not seller.is_plain:
        decorate(picture, seller)
    return _camera(picture, rng, pose)


def studio_picture(product: Product, side: int = 520) -> Picture:
    """Return the brand's own picture of a product on white, which many shops use as it is."""
    return photograph(product, None, 0, Pose(0.0, side))


def _draw_background(rng: np.random.Generator, pose: Pose) -> Picture:
    aspect = 1.0 if rng.random() < 0.75 else rng.uniform(0.75, 1.3)
    width = pose.side if aspect >= 1 else int(pose.side * aspect)
    height = pose.side if aspect <= 1 else int(pose.side / aspect)
    if rng.random() >= pose.carelessness:
        return np.full(
            (height, width, 3), 255 if rng.random() < 0.7 else int(rng.integers(235, 255)), np.uint8
        )
    draw = _BACKGROUNDS[rng.integers(len(_BACKGROUNDS))]
    return draw(rng, height, width)


def _some_colour(rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.integers(60, 256, 3).astype(np.float32)


def _gradient(rng: np.random.Generator, height: int, width: int) -> Picture:
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    picture = _some_colour(rng) * (1 - ramp) + _some_colour(rng) * ramp
    return np.asarray(np.repeat(picture, width, axis=1), np.uint8)


def _cloth(rng: np.random.Generator, height: int, width: int) -> Picture:
    size = int(rng.integers(4, 24))
    coarse = rng.normal(0, rng.uniform(10, 40), (size, size, 1)).astype(np.float32)
    relief = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)[:, :, None]
    return np.asarray(np.clip(_some_colour(rng) + relief, 0, 255), np.uint8)


def _wood(rng: np.random.Generator, height: int, width: int) -> Picture:
    grain = cv2.resize(
        rng.normal(0, 22, (height // 6 + 1, 3)).astype(np.float32),
        (width, height),
        interpolation=cv2.INTER_LINEAR,
    )
    base = np.array([170, 125, 80], np.float32) * rng.uniform(0.6, 1.35)
    picture = np.asarray(np.clip(base + grain[:, :, None], 0, 255), np.uint8)
    for row in range(int(rng.integers(40, 90)), height, int(rng.integers(70, 130))):
        cv2.line(picture, (0, row), (width, row), (70, 50, 30), 2)
    return picture


def _tiles(rng: np.random.Generator, height: int, width: int) -> Picture:
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = _some_colour(rng)
    step, joint = int(rng.integers(45, 130)), tuple(int(value) for value in _some_colour(rng))
    for position in range(int(rng.integers(step)), max(height, width), step):
        cv2.line(picture, (0, position), (width, position), joint, 3)
        cv2.line(picture, (position, 0), (position, height), joint, 3)
    return picture


def _clutter(rng: np.random.Generator, height: int, width: int) -> Picture:
    picture = _gradient(rng, height, width)
    for _ in range(int(rng.integers(8, 30))):
        colour = tuple(int(value) for value in _some_colour(rng))
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(8, 90)), int(rng.integers(8, 60)))
        cv2.ellipse(
            picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA
        )
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(1, 5)).astype(np.uint8, copy=False)


_BACKGROUNDS: tuple[Callable[[np.random.Generator, int, int], Picture], ...] = (
    _gradient,
    _cloth,
    _wood,
    _tiles,
    _clutter,
)


def _arrange(product: Product, rng: np.random.Generator, pose: Pose) -> Picture:
    """Return the packs of a product side by side as one RGBA cut-out."""
    # Whole steps of five degrees let the turned packs be reused.
    yaw = int(5 * round(rng.normal(0, 14 * pose.carelessness) / 5))
    pack = cut_out_pack(product, int(np.clip(yaw, -30, 30)))
    if product.packs == 1:
        return pack
    shift = int(pack.shape[1] * rng.uniform(0.82, 1.04))
    group = np.zeros((pack.shape[0], pack.shape[1] + shift * (product.packs - 1), 4), np.uint8)
    for copy in range(product.packs):
        region = group[:, copy * shift : copy * shift + pack.shape[1]]
        covered = pack[:, :, 3] > 127
        region[covered] = pack[covered]
    return group


def _place(picture: Picture, pack: Picture, rng: np.random.Generator, pose: Pose) -> None:
    transform = _pose_transform(picture.shape, pack.shape, rng, pose)
    size = (picture.shape[1], picture.shape[0])
    shrink = np.sqrt(abs(np.linalg.det(transform[:2, :2])))
    if shrink < 0.6:
        # Averaging first keeps small print from turning into noise.
        pack = cv2.resize(pack, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
        transform = transform @ np.diag([2.0, 2.0, 1.0])
    warped = np.asarray(
        cv2.warpPerspective(pack, transform, size, flags=cv2.INTER_LINEAR), np.uint8
    )
    alpha = warped[:, :, 3]
    if rng.random() < 0.3 + 0.6 * pose.carelessness:
        _cast_shadow(picture, alpha, rng)
    opacity = alpha * np.float32(1 / 255)
    picture[:] = cv2.blendLinear(
        np.ascontiguousarray(warped[:, :, :3]), picture, opacity, 1 - opacity
    )


def _pose_transform(
    frame: tuple[int, ...], pack: tuple[int, ...], rng: np.random.Generator, pose: Pose
) -> NDArray[np.float64]:
    careless = pose.carelessness
    scale = rng.uniform(0.78 - 0.25 * careless, 0.92 + 0.2 * careless) * min(
        frame[0] / pack[0], frame[1] / pack[1]
    )
    turn = np.deg2rad(rng.normal(0, 9 * careless))
    slack = np.abs(np.array([frame[1] - pack[1] * scale, frame[0] - pack[0] * scale])) / 2
    centre = np.array([frame[1], frame[0]]) / 2 + rng.uniform(-0.8, 0.8, 2) * slack * careless
    half = np.array([pack[1], pack[0]]) * scale / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    corners += rng.uniform(-0.06, 0.06, (4, 2)) * careless * half
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    target = (corners @ rotation + centre).astype(np.float32)
    source = np.array([[0, 0], [pack[1], 0], [pack[1], pack[0]], [0, pack[0]]], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(source, target), np.float64)


def _cast_shadow(picture: Picture, alpha: Picture, rng: np.random.Generator) -> None:
    small = cv2.resize(alpha, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), rng.uniform(2, 6))
    shift = np.array([[1, 0, rng.uniform(-6, 6)], [0, 1, rng.uniform(1, 6)]], np.float32)
    shadow = cv2.resize(cv2.warpAffine(soft, shift, soft.shape[::-1]), alpha.shape[::-1])
    depth = shadow * np.float32(rng.uniform(0.15, 0.45) / 255)
    picture[:] = cv2.blendLinear(picture, np.zeros_like(picture), 1 - depth, depth)


def _light(picture: Picture, rng: np.random.Generator, pose: Pose) -> Picture:
    careless = pose.carelessness
    if careless == 0:
        return picture
    gain = 1 + rng.uniform(-0.28, 0.18) * careless
    tint = 1 + rng.normal(0, 0.05, 3) * careless
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.25) * careless
    height, width = picture.shape[:2]
    fall = np.linspace(-slope, slope, width, dtype=np.float32)[None, :] * np.float32(np.cos(angle))
    fall = fall + np.linspace(-slope, slope, height, dtype=np.float32)[:, None] * np.float32(
        np.sin(angle)
    )
    channels = [
        cv2.multiply(channel, 1 + fall, scale=float(gain * t), dtype=cv2.CV_8U)
        for channel, t in zip(cv2.split(picture), tint, strict=True)
    ]
    return cv2.merge(channels).astype(np.uint8, copy=False)


def _camera(picture: Picture, rng: np.random.Generator, pose: Pose) -> Picture:
    careless = pose.carelessness
    if rng.random() < 0.4 * careless:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.1)).astype(
            np.uint8, copy=False
        )
    if rng.random() < 0.4 * careless:
        picture = _cropped(picture, rng)
    if rng.random() < 0.5 * careless:
        picture = _grainy(picture, rng)
    return picture


def _grainy(picture: Picture, rng: np.random.Generator) -> Picture:
    # A tile of noise, repeated, looks the same and costs a tenth.
    tile = rng.normal(0, rng.uniform(1, 6), (128, 128, 3)).astype(np.int16)
    repeats = (picture.shape[0] // 128 + 1, picture.shape[1] // 128 + 1, 1)
    noise = np.tile(tile, repeats)[: picture.shape[0], : picture.shape[1]]
    return cv2.add(picture, noise, dtype=cv2.CV_8U).astype(np.uint8, copy=False)


def _cropped(picture: Picture, rng: np.random.Generator) -> Picture:
    height, width = picture.shape[:2]
    top, bottom, left, right = (rng.uniform(0, 0.1, 4) * [height, height, width, width]).astype(int)
    return np.ascontiguousarray(picture[top : height - bottom, left : width - right])


def decorate(picture: Picture, seller: Seller) -> None:
    """Put a seller's frame, banner, stickers and watermark on a picture in place."""
    overlay, opacity = _overlay(seller, picture.shape[0], picture.shape[1])
    picture[:] = cv2.blendLinear(overlay, picture, opacity, 1 - opacity)


@dataclass(frozen=True)
class _Overlay:
    """What is laid over a picture: colours (h, w, 3) and how much of them covers it (h, w), 0 to
    255.
    """

    picture: Picture
    coverage: NDArray[np.uint8]


@lru_cache(maxsize=64)
def _overlay(seller: Seller, height: int, width: int) -> tuple[Picture, NDArray[np.float32]]:
    """Return a seller's decoration as colours (h, w, 3) uint8 and opacity (h, w) float32, 0 to
    1.
    """
    rng = np.random.default_rng(seller.seed)
    main, second = _bright_colour(rng), _bright_colour(rng)
    overlay = _Overlay(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8))
    if seller.has_frame:
        _draw_frame(overlay, main, second, rng)
    if seller.has_banner:
        _draw_banner(overlay, seller, second, rng)
    for _ in range(seller.stickers):
        _draw_sticker(overlay, _bright_colour(rng), rng)
    if seller.has_watermark:
        _draw_watermark(overlay, seller)
    return overlay.picture, overlay.coverage * np.float32(1 / 255)


def _bright_colour(rng: np.random.Generator) -> Colour:
    values = rng.permutation(
        [int(rng.integers(180, 256)), int(rng.integers(20, 200)), int(rng.integers(0, 90))]
    )
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def _draw_frame(overlay: _Overlay, main: Colour, second: Colour, rng: np.random.Generator) -> None:
    picture, coverage = overlay.picture, overlay.coverage
    height, width = coverage.shape
    thickness = int(rng.uniform(0.015, 0.045) * width)
    for inset, colour in ((0, main), (thickness, second)):
        line = max(2, thickness if inset == 0 else thickness // 3)
        start, end = (
            inset + line // 2,
            (width - 1 - inset - line // 2, height - 1 - inset - line // 2),
        )
        cv2.rectangle(picture, (start, start), end, colour, line)
        cv2.rectangle(coverage, (start, start), end, 255, line)


def _draw_banner(
    overlay: _Overlay, seller: Seller, colour: Colour, rng: np.random.Generator
) -> None:
    picture, coverage = overlay.picture, overlay.coverage
    height, width = coverage.shape
    tall = int(height * rng.uniform(0.07, 0.13))
    top = 0 if rng.random() < 0.35 else height - tall
    picture[top : top + tall], coverage[top : top + tall] = colour, 255
    text = BANNERS[rng.integers(len(BANNERS))] if rng.random() < 0.6 else seller.name
    ink = (255, 255, 255) if sum(colour) < 450 else (40, 20, 20)
    print_text(
        picture,
        text,
        (width / 2, top + tall / 2),
        ink,
        height=int(tall * 0.6),
        style="bold",
        largest_width=int(width * 0.94),
    )


def _draw_sticker(overlay: _Overlay, colour: Colour, rng: np.random.Generator) -> None:
    picture, coverage = overlay.picture, overlay.coverage
    height, width = coverage.shape
    radius = int(rng.uniform(0.07, 0.12) * width)
    x = int(rng.choice([radius + 8, width - radius - 8]))
    y = int(rng.choice([radius + 8, height - radius - 8, height // 2]))
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    radii = radius * (1 - 0.14 * (np.arange(32) % 2) * int(rng.integers(0, 2)))
    outline = np.column_stack([x + radii * np.cos(angles), y + radii * np.sin(angles)]).astype(
        np.int32
    )
    for target, value in ((picture, colour), (coverage, 255)):
        cv2.fillPoly(target, [outline], value, cv2.LINE_AA)
    text = STICKERS[rng.integers(len(STICKERS))]
    print_text(
        picture,
        text,
        (x, y),
        (255, 255, 255),
        height=int(radius * 0.62),
        style="bold",
        largest_width=int(radius * 1.7),
    )


def _draw_watermark(overlay: _Overlay, seller: Seller) -> None:
    picture, coverage = overlay.picture, overlay.coverage
    height, width = coverage.shape
    ink = np.zeros((height, width, 3), np.uint8)
    print_text(
        ink,
        seller.name,
        (width / 2, height / 2),
        (255, 255, 255),
        height=int(height * 0.07),
        largest_width=int(width * 0.8),
    )
    visible = (ink[:, :, 0] > 0) & (coverage == 0)
    picture[visible], coverage[visible] = (245, 245, 245), 90
