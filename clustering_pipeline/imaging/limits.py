"""How large and how small a picture may be before it is decoded, and why one cannot be."""

from dataclasses import dataclass
from typing import Literal

ImageErrorKind = Literal["not_an_image", "unsupported_format", "truncated", "bomb", "too_small"]


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


DEFAULT_LIMITS = ImageLimits()
