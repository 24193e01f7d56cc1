"""Query pictures, kept in memory for a while under names that cannot be guessed."""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass

from clustering_pipeline.imaging import ImageLimits, Pixels, decode_image, fit_within, to_jpeg
from clustering_pipeline.serve.library import UnknownError

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
        self._kept_bytes = kept_bytes
        self._held: OrderedDict[str, Query] = OrderedDict()
        self._lock = threading.Lock()

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
        name = secrets.token_urlsafe(18)
        with self._lock:
            self._held[name] = query
            while len(self._held) > 1 and sum(held.pixels.nbytes for held in self._held.values()) > self._kept_bytes:
                self._held.popitem(last=False)
        return name

    def get(self, name: str) -> Query:
        """Return a remembered picture; raises UnknownError when it has given way to newer ones."""
        with self._lock:
            query = self._held.get(name)
            if query is None:
                raise UnknownError("This query picture is no longer held. Search with it again.")
            self._held.move_to_end(name)
            return query
