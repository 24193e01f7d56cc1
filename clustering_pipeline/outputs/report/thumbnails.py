"""Small pictures inside a page, within a budget of bytes."""

import base64

from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.imaging import ImageError, fit_within, load_crop, to_jpeg
from clustering_pipeline.outputs.report.tables import Box, Listing
from clustering_pipeline.storage import BlobStore

QUALITY = 72


def thumbnail_jpeg(
    blobs: BlobStore, image_sha256: str, box: Box | None, longest_side: int
) -> bytes:
    """Return a JPEG of a stored crop with at most `longest_side` pixels a side; raises ImageError
    and StageError.
    """
    return to_jpeg(fit_within(load_crop(blobs, image_sha256, box), longest_side), QUALITY)


def data_uri(jpeg: bytes) -> str:
    """Return a JPEG as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


class Thumbnails:
    """Makes thumbnails as data URIs, each once, until the budget is spent; from then on it gives
    none.
    """

    def __init__(self, blobs: BlobStore, longest_side: int, budget: int) -> None:
        """`longest_side`: pixels; `budget`: bytes of JPEG in all."""
        self._blobs = blobs
        self._longest_side = longest_side
        self._left = budget
        self._made: dict[tuple[str, Box | None, int], str | None] = {}

    @property
    def spent(self) -> bool:
        """Whether the budget is used up."""
        return self._left <= 0

    def of(self, listing: Listing, enlarged: int = 1) -> str | None:
        """Return the listing's crop, `enlarged` times as large; None without a readable picture or
        when the budget is spent.
        """
        if listing.image_sha256 is None:
            return None
        key = (listing.image_sha256, listing.box, enlarged)
        if key not in self._made and self.spent:
            return None
        if key not in self._made:
            self._made[key] = self._make(*key)
        return self._made[key]

    def _make(self, image_sha256: str, box: Box | None, enlarged: int) -> str | None:
        try:
            content = thumbnail_jpeg(self._blobs, image_sha256, box, self._longest_side * enlarged)
        except (ImageError, PipelineError):
            return None
        self._left -= len(content)
        return data_uri(content)
