"""From bytes to upright 8-bit RGB pixels: the one decoder for downloads, detection, search and
review.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from clustering_pipeline.imaging.headers import (
    DAMAGE,
    DEFAULT_LIMITS,
    ImageError,
    ImageLimits,
    open_image,
)

Pixels = NDArray[np.uint8]

_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DEEP_MODES = ("I", "F")


def decode_image(
    content: bytes, limits: ImageLimits = DEFAULT_LIMITS, at_least: int | None = None
) -> Pixels:
    """Return the picture as (height, width, 3) uint8 RGB, turned upright by its EXIF orientation.

    Transparency is laid over white, CMYK, palette, grey and 16-bit pictures are converted, of an
    animation the first frame is taken. `at_least` (pixels) allows a JPEG to be decoded at a half,
    quarter or eighth of its size as long as its shorter side keeps that many pixels: much faster,
    for thumbnails and overviews.

    Raises ImageError `not_an_image`, `unsupported_format`, `truncated`, `bomb` or `too_small`; the
    limits are checked before anything is decoded.
    """
    image, orientation = open_image(content, limits)
    if at_least is not None:
        image.draft("RGB", _draft_size(image.size, at_least))
    return _decode(image, orientation, _to_rgb)


def decode_grey(content: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Pixels:
    """Return the picture as (height, width) uint8 grey (ITU-R 601 luma), upright, transparency over
    white.

    Of a JPEG this is its luma plane as stored, which takes half the time of decoding its colours.
    Raises ImageError.
    """
    image, orientation = open_image(content, limits)
    image.draft("L", None)
    return _decode(image, orientation, _to_grey)


def _decode(
    image: Image.Image, orientation: int, convert: Callable[[Image.Image], Image.Image]
) -> Pixels:
    try:
        upright = convert(image)
        if orientation in _TRANSPOSES:
            upright = upright.transpose(_TRANSPOSES[orientation])
        return _pixels(upright)
    except DAMAGE as error:
        raise _undecodable(image, error) from error


def _pixels(image: Image.Image) -> Pixels:
    """Return the picture's values; those of a grey one without a copy where Pillow holds them in
    one piece.
    """
    if image.mode != "L":
        return np.asarray(image)
    try:
        return np.asarray(pa.array(image).to_numpy().reshape(image.height, image.width), np.uint8)
    except ValueError:
        return np.asarray(image)


def _draft_size(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    scale = min(1.0, shorter / min(size))
    return int(np.ceil(size[0] * scale)), int(np.ceil(size[1] * scale))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        image.load()
        return image
    if image.mode.startswith(_DEEP_MODES):
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        return _over_white(image.convert("RGBA"))
    return image.convert("RGB")


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode == "L" and "transparency" not in image.info:
        image.load()
        return image
    return _to_rgb(image).convert("L")


def _over_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit and floating-point grey to 0..255."""
    values = np.nan_to_num(np.asarray(image, np.float64))
    full_scale = (
        65535.0
        if image.mode.startswith("I") and values.max(initial=0) <= 65535
        else values.max(initial=0) or 1.0
    )
    return Image.fromarray(np.clip(np.rint(values * (255 / full_scale)), 0, 255).astype(np.uint8))


def _undecodable(image: Image.Image, error: Exception) -> ImageError:
    if isinstance(error, MemoryError):
        return ImageError(
            "bomb", f"No memory is left to decode {image.size[0]} × {image.size[1]} pixels."
        )
    if "conversion from" in str(error):
        return ImageError(
            "unsupported_format",
            f"{image.format} pictures in the colour mode {image.mode} cannot be read.",
        )
    return ImageError("truncated", f"The {image.format} picture is damaged or cut off: {error}.")
