"""What the search page and the JSON search have in common: from an upload, a URL or a listing to
hits.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
from threadpoolctl import ThreadpoolController

from clustering_pipeline.core.engine import available_cores
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.security import ConfinedError, confined
from clustering_pipeline.core.text import plain_words
from clustering_pipeline.imaging import (
    Box,
    ImageLimits,
    Pixels,
    fit_within,
    load_image,
    probe,
    shrunk,
    to_jpeg,
)
from clustering_pipeline.outputs.report import Cluster, Listing
from clustering_pipeline.outputs.search import Mode, PictureSearch, QueryPicture, VerifiedHit
from clustering_pipeline.stages.download import fetch_one
from clustering_pipeline.storage import BlobStore
from clustering_pipeline.web.category_cache import Library, Shelf, UnknownError
from clustering_pipeline.web.security import Turns

MOST_HITS = 100
MOST_NAMED, MOST_LISTED = 24, 120
# A larger query says no more about the product; the catalogue's own pictures are rarely larger.
LONGEST_SIDE = 2048
KEPT_BYTES = 256_000_000
# Requests that wait for their turn: to decode, each with its upload in memory, and to search, each
# with 12 MB of pixels at most.
MOST_DECODING_WAITING = 12
MOST_SEARCHES_WAITING = 60
# From how many pixels on a picture is decoded in a process of its own, and what that may use.
LARGE_PIXELS = 8_000_000
DECODING_MEGABYTES = 1024
DECODING_SECONDS = 30.0
# Seconds.
LONGEST_WAIT = 20.0


@dataclass(frozen=True)
class Query:
    """A decoded query picture, uint8 (height, width, 3) RGB, and the JPEG that the page shows."""

    pixels: Pixels
    jpeg: bytes


class Queries:
    """The query pictures of the last visitors; the oldest give way when the memory is used up."""

    def __init__(self, largest_pixels: int, kept_bytes: int = KEPT_BYTES) -> None:
        """`largest_pixels`: of a query picture, and of all that are decoded at once, checked before
        that; `kept_bytes`: of all decoded pictures.
        """
        self._limits = ImageLimits(largest_pixels=largest_pixels)
        self._decoding = Turns(largest_pixels, MOST_DECODING_WAITING, LONGEST_WAIT)
        self._shelf: Shelf[Query] = Shelf(
            kept_bytes, "This query picture is no longer held. Search with it again."
        )

    def read(self, content: bytes) -> Query:
        """Return the picture in `content`; raises ImageError, BusyError."""
        facts = probe(content, self._limits)
        size = facts.width * facts.height
        with self._decoding.take(size):
            if size <= LARGE_PIXELS:
                return self._of_pixels(shrunk(content, LONGEST_SIDE, self._limits))
            return self._of_pixels(self._decoded_apart(content))

    def _decoded_apart(self, content: bytes) -> Pixels:
        """Return a large picture decoded in a process of its own: what it took is given back, and
        nobody waits for it meanwhile.
        """
        try:
            return confined(
                shrunk, DECODING_MEGABYTES, DECODING_SECONDS, content, LONGEST_SIDE, self._limits
            )
        except ConfinedError as error:
            raise InputError(
                f"The picture cannot be searched with: {error}. Use a smaller one."
            ) from error

    def stored(self, blobs: BlobStore, image_sha256: str) -> Query:
        """Return a picture of the catalogue as a query; raises BusyError."""
        with self._decoding.take(self._limits.largest_pixels):
            return self._of_pixels(load_image(blobs, image_sha256))

    @staticmethod
    def _of_pixels(pixels: Pixels) -> Query:
        pixels = fit_within(pixels, LONGEST_SIDE)
        return Query(pixels, to_jpeg(fit_within(pixels, 960), 85))

    def keep(self, query: Query) -> str:
        """Remember a picture and return its name."""
        return self._shelf.keep(query, query.pixels.nbytes)

    def get(self, name: str) -> Query:
        """Return a remembered picture; raises UnknownError when it has given way to newer ones."""
        return self._shelf.get(name)


@dataclass(frozen=True)
class Found:
    """The answer to a search, and how long detection, description, search and verification took
    together, in seconds.
    """

    picture: QueryPicture
    hits: list[VerifiedHit]
    seconds: float


@dataclass(frozen=True)
class WordsFound:
    """What words lead to; `by_look`: by what pictures show instead of what is written."""

    clusters: tuple[Cluster, ...]
    listings: tuple[Listing, ...]
    by_look: bool


def _has(wanted: Sequence[str], *texts: str) -> bool:
    written = plain_words(" ".join(texts))
    return all(word in written for word in wanted)


class Finder:
    """Searches a category with pictures from anywhere."""

    def __init__(self, library: Library, queries: Queries) -> None:
        self._library = library
        self.queries = queries
        # As many searches at once as there are cores, each on one thread: more would only take each
        # other's turns.
        self._turns = Turns(available_cores(), MOST_SEARCHES_WAITING, LONGEST_WAIT)
        cv2.setNumThreads(1)
        ThreadpoolController().limit(limits=1)

    def query_of(self, slug: str, content: bytes | None, words: str) -> Query:
        """Return the query picture: the uploaded bytes, else what the URL or the listing id in
        `words` shows.

        Raises ImageError for bytes that are no picture, FetchError for a URL, UnknownError for an
        id, InputError for nothing, BusyError when too many ask.
        """
        if content:
            return self.queries.read(content)
        words = words.strip()
        if words.lower().startswith(("http://", "https://")):
            return self.queries.read(
                fetch_one(words, self._library.project.category_settings(slug).download)
            )
        if not words:
            raise InputError(
                "There is nothing to search for. Choose a picture, or give a URL or a listing id."
            )
        return self._listing_query(slug, words)

    def find(
        self, slug: str, query: Query, mode: Mode, top: int, region: int, box: Box | None = None
    ) -> Found:
        """Return the `top` hits of a search with a region of the query picture; raises InputError,
        BusyError.
        """
        search = self._library.search(slug)
        with self._turns.take():
            started = time.perf_counter()
            picture = search.describe(query.pixels, region, box)
            mode = mode if mode != "class" or picture.label else "exact"
            hits = search.search(picture, min(top, MOST_HITS), mode)
            return Found(picture, hits, time.perf_counter() - started)

    def knows(self, slug: str, words: str) -> bool:
        """Whether words are the id of a listing that the index holds."""
        return bool(words.strip()) and bool(self._library.search(slug).index.find(words.strip()))

    def named(self, slug: str, words: str) -> WordsFound:
        """Return what has all the words, whatever their case and accents: clusters by their names,
        listings by their ids, titles, clusters or the print read on their packs; where nothing has,
        listings whose pictures show what the words say.
        """
        category, printed = self._library.category(slug), self._library.printed(slug)
        wanted = plain_words(words).split()
        if not wanted:
            return WordsFound((), (), False)
        clusters = [
            cluster
            for cluster in category.clusters
            if cluster.size > 1 and _has(wanted, cluster.name, str(cluster.cluster_id))
        ]
        listings = [
            listing
            for listing in category.listings.values()
            if _has(
                wanted,
                listing.product_base_id,
                listing.title,
                listing.cluster_name,
                *printed.get(listing.keeper or "", ()),
            )
        ]
        if clusters or listings or not self._library.has_search(slug):
            return WordsFound(tuple(clusters[:MOST_NAMED]), tuple(listings[:MOST_LISTED]), False)
        by_look = self._library.word_search(slug)
        hits = by_look.search(words, MOST_NAMED) if by_look else []
        shown = [category.listings[hit.listing] for hit in hits if hit.listing in category.listings]
        return WordsFound((), tuple(shown), bool(shown))

    def _listing_query(self, slug: str, product_base_id: str) -> Query:
        search: PictureSearch = self._library.search(slug)
        hits = search.index.find(product_base_id)
        if not hits:
            raise UnknownError(
                f"No listing with the id {product_base_id[:80]!r} is in the search index."
            )
        return self.queries.stored(self._library.blobs, hits[0].image_sha256)
