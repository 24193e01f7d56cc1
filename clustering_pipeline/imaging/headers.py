"""Opening a picture's header: what format it is, how large, which way up, whether it may be
decoded; and the chunks and segments that a PNG or JPEG is made of.

PNG: ISO/IEC 15948, clause 5. JPEG: ITU-T T.81, annex B.
"""

import io
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from PIL import Image, UnidentifiedImageError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8"
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
# Beside the critical chunks, whose names begin with a capital: transparency, orientation, frames.
KEPT_CHUNKS = (b"tRNS", b"acTL", b"fcTL", b"fdAT")
ORIENTATION_CHUNK = b"eXIf"
CHUNK_BYTES = 12
# Within a scan only stuffed bytes and restart markers follow 0xff.
END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
START_OF_SCAN = 0xDA
ALONE = (0x01, *range(0xD0, 0xD9))
ImageErrorKind = Literal["not_an_image", "unsupported_format", "truncated", "bomb", "too_small"]
# A short list of codecs keeps hostile bytes away from Pillow's rarely used parsers (some of them
# start programs).
READABLE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
ORIENTATION_TAG = 0x0112
# Every exception that Pillow's parsers were seen to raise on damaged bytes.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    RuntimeError,
    struct.error,
    IndexError,
    KeyError,
    OverflowError,
    MemoryError,
)
# What is wrong with a picture is said on its row; Pillow would say it on the terminal as well.
warnings.filterwarnings("ignore", module=r"PIL\..*")
logging.getLogger("PIL").setLevel(logging.CRITICAL)
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)
_FOREIGN_SIGNATURES = (
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x01\x00", "a Windows icon"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"%!PS", "PostScript"),
)
_OTHER_SIGNATURES = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"{", "JSON"),
    (b"[", "JSON"),
)


def png_pixels(content: bytes) -> bytes:
    """Return a PNG without the chunks that say nothing of its pixels, however large or damaged they
    are, and with an end where that alone is missing.

    Chunks that pixels need are kept as they are; one that is cut off ends what is returned.
    """
    view = memoryview(content)
    parts = [view[: len(PNG_SIGNATURE)]]
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        end = position + CHUNK_BYTES + length
        is_critical = not name[0] & 0x20
        if name == b"IEND" or (end > len(content) and not is_critical):
            break
        chunk = view[position:end]
        if name == ORIENTATION_CHUNK and _is_intact(chunk):
            # Before the pixels, where it is read without decoding them.
            parts.insert(2, chunk)
        elif is_critical or (name in KEPT_CHUNKS and _is_intact(chunk)):
            parts.append(chunk)
        if end > len(content):
            return b"".join(parts)
        position = end
    return b"".join([*parts, PNG_END])


def _is_intact(chunk: memoryview) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def jpeg_scans(content: bytes) -> int:
    """Return how many scans a JPEG has; a progressive one is decoded once over for each."""
    return sum(marker == START_OF_SCAN for marker in _markers(content))


def _markers(content: bytes) -> Iterator[int]:
    position = len(JPEG_SIGNATURE)
    while position + 4 <= len(content):
        if content[position] != 0xFF:
            return
        marker = content[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        yield marker
        position += 2
        if marker not in ALONE:
            position += int.from_bytes(content[position : position + 2], "big")
        if marker == START_OF_SCAN:
            next_marker = END_OF_SCAN.search(content, position)
            position = next_marker.start() if next_marker else len(content)


class ImageError(Exception):
    """Bytes that give no usable picture: `kind` for counting, `sentence` for the person who reads
    the row.
    """

    def __init__(self, kind: ImageErrorKind, sentence: str) -> None:
        super().__init__(kind, sentence)
        self.kind: ImageErrorKind = kind
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True)
class ImageLimits:
    """Bounds that are checked on the header, before a single pixel is decoded."""

    # 80 million RGB pixels are 240 MB; Pillow itself refuses 179 million.
    largest_pixels: int = 80_000_000
    smallest_side: int = 8
    # Scans of a progressive JPEG times its pixels: twenty over the largest picture take seconds.
    largest_scanned: int = 1_600_000_000

    def check(self, width: int, height: int) -> None:
        """Raise ImageError `bomb` or `too_small` when width × height (pixels) is out of bounds."""
        if width * height > self.largest_pixels:
            raise ImageError(
                "bomb",
                f"The picture is {width} × {height} pixels; the limit is "
                f"{self.largest_pixels / 1e6:g} million pixels.",
            )
        if min(width, height) < self.smallest_side:
            raise ImageError(
                "too_small",
                f"The picture is {width} × {height} pixels; each side needs at least "
                f"{self.smallest_side}.",
            )

    def check_scans(self, content: bytes, width: int, height: int) -> None:
        """Raise ImageError `bomb` when the scans of a JPEG pass over more pixels than are
        decoded.
        """
        most = self.largest_scanned // (width * height)
        # Counting the letters of a marker is fast and never too low.
        if content.count(b"\xff\xda") > most and (scans := jpeg_scans(content)) > most:
            raise ImageError(
                "bomb",
                f"The picture has {scans:,} scans over {width} × {height} pixels; at most "
                f"{most:,} are decoded at that size.",
            )


DEFAULT_LIMITS = ImageLimits()


@dataclass(frozen=True)
class ImageFacts:
    """A picture's format (Pillow's name, upper case) and its size in pixels after EXIF rotation."""

    format: str
    width: int
    height: int


def probe(content: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> ImageFacts:
    """Return the facts of a picture from its header alone.

    Raises ImageError when the bytes are no picture, or one that the limits refuse. The pixels may
    still be damaged.

    Example:
        >>> import numpy as np
        >>> from clustering_pipeline.imaging import to_png
        >>> probe(to_png(np.zeros((40, 60, 3), np.uint8)))
        ImageFacts(format='PNG', width=60, height=40)
    """
    image, orientation = open_image(content, limits)
    width, height = image.size if orientation < 5 else image.size[::-1]
    return ImageFacts(image.format or "", width, height)


def open_image(content: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> tuple[Image.Image, int]:
    """Return Pillow's undecoded image and its EXIF orientation, 1 to 8; raises ImageError."""
    try:
        if content.startswith(PNG_SIGNATURE):
            content = png_pixels(content)
            # Decoding passes over wrong checksums; verifying uses the image up.
            _open(content).verify()
        image = _open(content)
    except UnidentifiedImageError as error:
        raise _unidentified(content) from error
    except (Image.DecompressionBombError, *DAMAGE) as error:
        raise _unreadable(error) from error
    limits.check(*image.size)
    if content.startswith(JPEG_SIGNATURE):
        limits.check_scans(content, *image.size)
    # Pillow turns a TIFF by itself: its size at once, its pixels when they are loaded.
    return image, 1 if image.format == "TIFF" else _orientation(image)


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=_codecs())


@cache
def _codecs() -> tuple[str, ...]:
    # A Pillow built without WebP or AVIF lacks those entries.
    Image.init()
    return tuple(name for name in READABLE_FORMATS if name in Image.OPEN)


def _unreadable(error: Exception) -> ImageError:
    if isinstance(error, Image.DecompressionBombError | MemoryError):
        return ImageError("bomb", "The picture's header asks for far more pixels than are decoded.")
    return ImageError("truncated", f"The picture's header is damaged: {error}.")


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and "exif" not in image.info:
        # Asked for it, Pillow would decode all pixels to look behind them.
        return 1
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except DAMAGE:
        # A damaged EXIF block says nothing about the pixels.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _unidentified(content: bytes) -> ImageError:
    if not content:
        return ImageError("not_an_image", "The file is empty.")
    foreign = _foreign_picture(content)
    if foreign:
        return ImageError(
            "unsupported_format",
            f"The picture is {foreign}; JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF are read.",
        )
    format_name = next(
        (name for signature, name in _SIGNATURES if content.startswith(signature)), None
    )
    if content[4:12] in (b"ftypavif", b"ftypavis"):
        format_name = "AVIF"
    if format_name:
        return ImageError(
            "truncated", f"The file begins like {format_name} but its header is damaged or cut off."
        )
    return ImageError("not_an_image", f"The file is not a picture{_looks_like(content)}.")


def _foreign_picture(content: bytes) -> str | None:
    head = content[:2048].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<svg") or (head.startswith(b"<?xml") and b"<svg" in head):
        return "SVG"
    if content[4:8] == b"ftyp" and content[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return "HEIC"
    return next(
        (name for signature, name in _FOREIGN_SIGNATURES if content.startswith(signature)), None
    )


def _looks_like(content: bytes) -> str:
    head = content[:2048].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if (
        head.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script"))
        or b"<html" in head
    ):
        return ": it begins like an HTML page"
    if head.startswith(b"<"):
        return ": it begins like XML"
    kind = next(
        (name for signature, name in _OTHER_SIGNATURES if content.startswith(signature)), None
    )
    return f": it begins like {kind}" if kind else ""
