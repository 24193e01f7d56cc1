"""Query pictures, kept in memory for a while under names that cannot be guessed."""

from dataclasses import dataclass

from clustering_pipeline.imaging import ImageLimits, Pixels, decode_image, fit_within, to_jpeg
from clustering_pipeline.serve.shelf import Shelf

# A larger query says no more about the product; the catalogue's own pictures are rarely larger.
LONGEST_SIDE = 2048
KEPT_BYTES = 256_000_000


@dataclass(frozen=True)
class Query:
    """A decoded query picture, uint8 (height, width, 3) RGB, and the JPEG that the page shows."""

    pixels: Pixels
    jpeg: bytes


class Queries:
    """The query pictures of the last visitors; the oldest give way when the memory is used up."""

    def __init__(self, largest_pixels: int, kept_bytes: int = KEPT_BYTES) -> None:
        """`largest_pixels`: of a query picture, checked before it is decoded; `kept_bytes`: of all decoded pictures."""
        self._limits = ImageLimits(largest_pixels=largest_pixels)
        self._shelf: Shelf[Query] = Shelf(kept_bytes, "This query picture is no longer held. Search with it again.")

    def read(self, content: bytes) -> Query:
        """Return the picture in `content`; raises ImageError."""
        return self.of_pixels(decode_image(content, self._limits, at_least=LONGEST_SIDE))

    @staticmethod
    def of_pixels(pixels: Pixels) -> Query:
        """Return a decoded picture as a query."""
        pixels = fit_within(pixels, LONGEST_SIDE)
        return Query(pixels, to_jpeg(fit_within(pixels, 960), 85))

    def keep(self, query: Query) -> str:
        """Remember a picture and return its name."""
        return self._shelf.keep(query, query.pixels.nbytes)

    def get(self, name: str) -> Query:
        """Return a remembered picture; raises UnknownError when it has given way to newer ones."""
        return self._shelf.get(name)
