"""Pictures as upright 8-bit RGB pixels: the one decoder for downloads, detection, search and
review; smaller versions, and their encoding for pages; regions of pictures and their identity.
"""

import hashlib
import io
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import NamedTuple, cast

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from clustering_pipeline.core.engine import one_at_a_time
from clustering_pipeline.imaging.headers import (
    DAMAGE,
    DEFAULT_LIMITS,
    JPEG_SIGNATURE,
    ImageError,
    ImageLimits,
    open_image,
)
from clustering_pipeline.storage import BlobStore

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]
Draft = Callable[[Image.Image], object]
Convert = Callable[[Image.Image], Image.Image]

_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pixels that the longer side of a region keeps unless more are asked for: packs are read at so many
# by default, everything else looks at fewer.
WORKING_SIDE = 736
# Parts of its size at which a JPEG can be decoded from fewer coefficients.
_PARTS = (8, 4, 2, 1)
_DEEP_MODES = ("I", "F")
# Above this size pictures are decoded one at a time, so that a few giants cannot exhaust the memory
# together; and pixels that are converted at once.
_GIANT_PIXELS = 16_000_000
_BAND_PIXELS = 4_000_000
# Grey levels within which a picture counts as blank, as for the quality of crops.
_BLANK = 16
_DARK = 64
# Frames of an animation that are looked at, and pixels of all of them.
_FRAMES = 24
_FRAME_PIXELS = 160_000_000
# What may follow a JPEG that ends without its mark: nothing, and data for pixels that lack some. A
# single pattern can be the code of a long run of nothing.
_FILLERS = (b"", bytes(range(1, 255)), bytes(range(254, 0, -1)), b"\x55" * 254, b"\xaa" * 254)
_ENDS = tuple(filler + b"\xff\xd9" for filler in _FILLERS)


def decode_image(
    content: bytes, limits: ImageLimits = DEFAULT_LIMITS, at_least: int | None = None
) -> Pixels:
    """Return the picture as (height, width, 3) uint8 RGB, turned upright by its EXIF orientation.

    Transparency is laid over white, or over dark grey where white shows nothing; CMYK, palette,
    grey and 16-bit pictures are converted. Of an animation the first frame is taken, or where that
    is blank the one of most contrast among the next. `at_least` (pixels) allows a JPEG to be
    decoded at a half, quarter or eighth of its size as long as its shorter side keeps that many
    pixels: much faster, for thumbnails and overviews.

    Raises ImageError `not_an_image`, `unsupported_format`, `truncated`, `bomb` or `too_small`; the
    limits are checked before anything is decoded.

    Example:
        >>> from clustering_pipeline.imaging import to_png
        >>> decode_image(to_png(np.full((40, 60), 200, np.uint8)))[0, 0].tolist()
        [200, 200, 200]
    """

    def draft(image: Image.Image) -> None:
        if at_least is not None:
            image.draft("RGB", _draft_size(image.size, at_least))

    return _decode(content, limits, draft, _to_rgb)


class Reduced(NamedTuple):
    """A picture that may have been decoded at a part of its size.

    Attributes:
        picture: uint8 (height, width, 3) RGB, or (height, width) grey.
        box: the region that was asked for, in pixels of `picture`.
        scale: how many pixels of the whole size lie along one of `picture`; 1 at its whole size.
    """

    picture: Pixels
    box: Box
    scale: float

    @property
    def region(self) -> Pixels:
        """The pixels within the box."""
        return cut(self.picture, self.box)

    def reduced(self, box: Box) -> Box:
        """Return a box within the region, in pixels of the whole size from its corner, in those of
        `region`.
        """
        return _reduced(box, self.scale, self.region)

    def restored(self, box: Box, within: Box) -> Box:
        """Return the reverse of `reduced`; `within` is the region in pixels of the whole size."""
        width, height = within[2] - within[0], within[3] - within[1]
        x0, y0, x1, y1 = (round(edge * self.scale) for edge in box)
        return max(0, x0), max(0, y0), min(width, x1), min(height, y1)


def decode_reduced(
    content: bytes,
    box: Box | None,
    limits: ImageLimits = DEFAULT_LIMITS,
    *,
    grey: bool = False,
    at_least: int = WORKING_SIDE,
) -> Reduced:
    """Return a picture of which a region is wanted: a JPEG at a half, quarter or eighth of its size
    as long as the region's longer side keeps `at_least` pixels.

    Args:
        content: the file.
        box: half-open, in pixels of the whole size; None for all of the picture.
        limits: as for `decode_image`, whose rules hold here as well.
        grey: for ITU-R 601 luma. Of a JPEG this is its luma plane as stored, which takes half the
            time of decoding its colours.
        at_least: pixels of the region's longer side.

    Raises ImageError.
    """
    whole = [1]

    def draft(image: Image.Image) -> None:
        whole[0] = max(image.size)
        longer = max(image.size) if box is None else max(box[2] - box[0], box[3] - box[1])
        divisor = next(part for part in _PARTS if longer >= part * at_least or part == 1)
        size = (-(-image.width // divisor), -(-image.height // divisor))
        if grey or divisor > 1:
            image.draft("L" if grey else "RGB", size)

    picture = _decode(content, limits, draft, _to_grey if grey else _to_rgb)
    scale = whole[0] / max(picture.shape[:2])
    everything = (0, 0, picture.shape[1], picture.shape[0])
    return Reduced(picture, everything if box is None else _reduced(box, scale, picture), scale)


def _reduced(box: Box, scale: float, within: Pixels) -> Box:
    if scale == 1:
        return box
    height, width = within.shape[:2]
    x0, y0, x1, y1 = box
    return (
        max(0, math.floor(x0 / scale)),
        max(0, math.floor(y0 / scale)),
        min(width, math.ceil(x1 / scale)),
        min(height, math.ceil(y1 / scale)),
    )


def _decode(content: bytes, limits: ImageLimits, draft: Draft, convert: Convert) -> Pixels:
    try:
        return _decode_whole(content, limits, draft, convert)
    except ImageError as error:
        is_jpeg = error.kind == "truncated" and content.startswith(JPEG_SIGNATURE)
        # Half of the mark may be there.
        scans = content.removesuffix(b"\xff")
        if not is_jpeg or not _is_whole_without_end(scans, limits):
            raise
    return _decode_whole(scans + _ENDS[0], limits, draft, convert)


def _is_whole_without_end(content: bytes, limits: ImageLimits) -> bool:
    """Whether a JPEG lacks nothing but its end mark: whatever follows makes no difference to pixels
    that are all there, at their full size.
    """
    first = b""
    for end in _ENDS:
        try:
            pixels = _decode_whole(content + end, limits, lambda _: None, _to_rgb)
        except ImageError:
            return False
        digest = hashlib.sha256(np.ascontiguousarray(pixels).data).digest()
        first = first or digest
        if digest != first:
            return False
    return True


def _decode_whole(content: bytes, limits: ImageLimits, draft: Draft, convert: Convert) -> Pixels:
    image, orientation = open_image(content, limits)
    draft(image)
    is_giant = image.width * image.height > _GIANT_PIXELS
    with one_at_a_time() if is_giant else nullcontext():
        try:
            upright = convert(_shown_frame(image))
            if orientation in _TRANSPOSES:
                upright = upright.transpose(_TRANSPOSES[orientation])
            return _pixels(upright)
        except DAMAGE as error:
            raise _undecodable(image, error) from error


def _shown_frame(image: Image.Image) -> Image.Image:
    """Return the picture, or of an animation that begins blank the frame of most contrast."""
    if image.format == "TIFF" or not getattr(image, "is_animated", False):
        return image
    best = _to_rgb(image).copy()
    if _contrast(best) >= _BLANK:
        return best
    for frame in _later_frames(image):
        best = max(best, frame, key=_contrast)
    return best


def _later_frames(image: Image.Image) -> Iterator[Image.Image]:
    most = min(_FRAMES, _FRAME_PIXELS // (image.width * image.height))
    for number in range(1, most):
        try:
            image.seek(number)
        except EOFError:
            return
        yield _to_rgb(image).copy()


def _pixels(image: Image.Image) -> Pixels:
    """Return the picture's values; those of a grey one without a copy where Pillow holds them in
    one piece.
    """
    if image.mode == "RGB" and image.width * image.height > _BAND_PIXELS:
        pixels = np.empty((image.height, image.width, 3), np.uint8)
        for top, band in _bands(image):
            pixels[top : top + band.height] = np.asarray(band)
        return pixels
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
        return _over_ground(image)
    return image.convert("RGB")


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode == "L" and "transparency" not in image.info:
        image.load()
        return image
    return _to_rgb(image).convert("L")


def _over_ground(image: Image.Image) -> Image.Image:
    """Lay a picture with transparency over white, a white one over dark grey."""
    over_white = _over(image, 255)
    if _contrast(over_white) >= _BLANK:
        return over_white
    over_dark = _over(image, _DARK)
    return over_dark if _contrast(over_dark) >= _BLANK else over_white


def _over(image: Image.Image, grey: int) -> Image.Image:
    laid = Image.new("RGB", image.size)
    for top, band in _bands(image):
        ground = Image.new("RGBA", band.size, (grey, grey, grey, 255))
        laid.paste(Image.alpha_composite(ground, band.convert("RGBA")).convert("RGB"), (0, top))
    return laid


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield a picture in bands of few pixels, each with its first row: what is made of all at once
    takes its size several times.
    """
    rows = max(1, _BAND_PIXELS // image.width)
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _contrast(image: Image.Image) -> int:
    """Return how many levels the values of an RGB picture span, in the channel where it is most."""
    extrema = cast(tuple[tuple[int, int], ...], image.getextrema())
    return max(high - low for low, high in extrema)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit and floating-point grey to 0..255."""
    highest = max(_deep_values(band).max(initial=0) for _, band in _bands(image))
    is_usual = image.mode.startswith("I") and highest <= 65535
    full_scale = 65535.0 if is_usual else highest or 1.0
    scaled = [
        np.clip(np.rint(_deep_values(band) * (255 / full_scale)), 0, 255).astype(np.uint8)
        for _, band in _bands(image)
    ]
    return Image.fromarray(np.concatenate(scaled))


def _deep_values(image: Image.Image) -> NDArray[np.float64]:
    return np.nan_to_num(np.asarray(image, np.float64))


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


def fit_within(pixels: Pixels, longest_side: int, enlarge: bool = False) -> Pixels:
    """Return the picture scaled so that its longest side has at most `longest_side` pixels
    (exactly, with `enlarge`).

    Example:
        >>> fit_within(np.zeros((400, 300, 3), np.uint8), 200).shape
        (200, 150, 3)
    """
    height, width = pixels.shape[:2]
    scale = longest_side / max(height, width)
    if scale == 1 or (scale > 1 and not enlarge):
        return pixels
    return resize(pixels, max(1, round(width * scale)), max(1, round(height * scale)))


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """Return the picture at width × height pixels: area averages when shrinking, cubic
    interpolation when enlarging.
    """
    shrinking = width * height < pixels.shape[0] * pixels.shape[1]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method), np.uint8)


def to_jpeg(pixels: Pixels, quality: int = 85) -> bytes:
    """Return the JPEG bytes of an RGB or grey uint8 picture; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def to_png(pixels: Pixels) -> bytes:
    """Return the PNG bytes of an RGB or grey uint8 picture: lossless."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def shrunk(content: bytes, longest_side: int, limits: ImageLimits = DEFAULT_LIMITS) -> Pixels:
    """Return a picture as (height, width, 3) uint8 RGB with at most `longest_side` pixels a side;
    raises ImageError.
    """
    return fit_within(decode_image(content, limits, at_least=longest_side), longest_side)


def thumbnail(
    content: bytes, longest_side: int, quality: int = 80, limits: ImageLimits = DEFAULT_LIMITS
) -> bytes:
    """Return a JPEG of the picture with at most `longest_side` pixels a side; raises ImageError."""
    return to_jpeg(shrunk(content, longest_side, limits), quality)


def load_image(blobs: BlobStore, image_sha256: str, limits: ImageLimits = DEFAULT_LIMITS) -> Pixels:
    """Return a stored picture as (height, width, 3) uint8 RGB; raises StageError when not held,
    ImageError when damaged.
    """
    return decode_image(blobs.get(image_sha256), limits)


def load_crop(
    blobs: BlobStore,
    image_sha256: str,
    box: Box | None,
    limits: ImageLimits = DEFAULT_LIMITS,
    *,
    mask: str | None = None,
) -> Pixels:
    """Return the region `box` of a stored picture as (height, width, 3) uint8 RGB; the whole
    picture when `box` is None.

    `mask` names the blob of a mask of that region (`pack_mask`), beyond which the crop is white.
    Raises StageError when the picture is not held, ImageError when it is damaged, ValueError when
    the box is empty.
    """
    pixels = load_image(blobs, image_sha256, limits)
    region = pixels if box is None else cut(pixels, box)
    return masked(region, blobs.get(mask) if isinstance(mask, str) else None)


def load_reduced(
    blobs: BlobStore, image_sha256: str, box: Box | None, *, at_least: int = WORKING_SIDE
) -> Reduced:
    """Return a stored picture at the size at which stages look at a region of it: `decode_reduced`.

    Raises StageError when the picture is not held, ImageError when it is damaged.
    """
    return decode_reduced(blobs.get(image_sha256), box, at_least=at_least)


def load_thumbnail(
    blobs: BlobStore, image_sha256: str, box: Box | None, longest_side: int
) -> Pixels:
    """Return a region of a stored picture with at most `longest_side` pixels a side, of a picture
    decoded at no more than that needs.

    Raises StageError when the picture is not held, ImageError when it is damaged.
    """
    reduced = load_reduced(blobs, image_sha256, box, at_least=longest_side)
    return fit_within(reduced.region, longest_side)


def masked(pixels: Pixels, mask: bytes | None) -> Pixels:
    """Return a region that is white beyond a mask which `pack_mask` packed, whatever the size at
    which it was; the region itself without one.
    """
    if mask is None:
        return pixels
    shown = unpack_mask(mask)
    if shown.shape != pixels.shape[:2]:
        size = (pixels.shape[1], pixels.shape[0])
        shown = cv2.resize(shown.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return without_background(pixels, np.asarray(shown, bool))


def without_background(pixels: Pixels, shown: NDArray[np.bool_]) -> Pixels:
    """Return a (height, width, 3) picture that is white wherever `shown`, bool (height, width), is
    not.
    """
    return np.where(shown[:, :, None], pixels, np.uint8(255))


def pack_mask(shown: NDArray[np.bool_]) -> bytes:
    """Return a bool (height, width) mask as PNG bytes, white where it is true."""
    return to_png(shown.astype(np.uint8) * np.uint8(255))


def unpack_mask(content: bytes) -> NDArray[np.bool_]:
    """Return the mask that `pack_mask` packed."""
    return np.asarray(decode_image(content)[:, :, 0] > 0)


def cut(pixels: Pixels, box: Box) -> Pixels:
    """Return the half-open region x0, y0, x1, y1 (pixels) within the picture; raises ValueError
    when nothing is left.

    Example:
        >>> cut(np.zeros((40, 60, 3), np.uint8), (-5, 10, 30, 35)).shape
        (25, 30, 3)
    """
    x0, y0, x1, y1 = (max(0, int(edge)) for edge in box)
    region = pixels[y0:y1, x0:x1]
    if region.size == 0:
        raise ValueError(
            f"the box {tuple(box)} is empty in a picture of {pixels.shape[1]} × {pixels.shape[0]} "
            f"pixels"
        )
    return region


def crop_digest(pixels: Pixels) -> str:
    """Return the sha256 in hexadecimal of a crop's normalised pixels: its size and its 8-bit RGB
    values.

    Example:
        >>> low, high = np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)
        >>> crop_digest(low) == crop_digest(low.copy()), crop_digest(low) == crop_digest(high)
        (True, False)
    """
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}:".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
