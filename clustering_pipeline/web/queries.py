"""What a page asks for: filters of the cluster list, and two listings beside each other with their
evidence.
"""

from dataclasses import dataclass

from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.imaging import ImageLimits, Pixels, decode_image, fit_within, to_jpeg
from clustering_pipeline.outputs.report import Link, Listing, PairView, pair_evidence
from clustering_pipeline.settings import VerificationSettings
from clustering_pipeline.stages.features import load_features
from clustering_pipeline.storage import BlobStore
from clustering_pipeline.web.category_cache import Category, Shelf

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
        """`largest_pixels`: of a query picture, checked before it is decoded; `kept_bytes`: of all
        decoded pictures.
        """
        self._limits = ImageLimits(largest_pixels=largest_pixels)
        self._shelf: Shelf[Query] = Shelf(
            kept_bytes, "This query picture is no longer held. Search with it again."
        )

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


@dataclass(frozen=True)
class Pair:
    """Two listings, the match between their crops, and the points that agree."""

    first: Listing
    second: Listing
    link: Link
    evidence: PairView


def pair_of(category: Category, blobs: BlobStore, link: Link) -> Pair:
    """Return the listings of a link and the matched points between their crops."""
    first, second = category.by_crop[link.crop_a], category.by_crop[link.crop_b]
    return Pair(first, second, link, _evidence(category, blobs, link))


def _evidence(category: Category, blobs: BlobStore, link: Link) -> PairView:
    features = category.local_features
    sizes = category.crop_sizes
    try:
        return pair_evidence(
            load_features(blobs, features[link.crop_a]),
            load_features(blobs, features[link.crop_b]),
            sizes[link.crop_a],
            sizes[link.crop_b],
            VerificationSettings(),
        )
    except (KeyError, PipelineError):
        # Without stored features there are no points to draw; the numbers of the match still stand.
        return PairView((), 0)
