"""What the search page and the JSON search have in common: from an upload, a URL or a listing to
hits.
"""

import threading
import time
from dataclasses import dataclass

import cv2
from threadpoolctl import ThreadpoolController

from clustering_pipeline.core.engine import available_cores
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.imaging import Box, load_image
from clustering_pipeline.outputs.search import Hit, Mode, PictureSearch, QueryPicture, VerifiedHit
from clustering_pipeline.stages.download import fetch_one
from clustering_pipeline.web.category_cache import Library, UnknownError
from clustering_pipeline.web.queries import Queries, Query

MOST_HITS = 100
MOST_NAMED = 24


@dataclass(frozen=True)
class Found:
    """The answer to a search, and how long detection, description, search and verification took
    together, in seconds.
    """

    picture: QueryPicture
    hits: list[VerifiedHit]
    seconds: float


class Finder:
    """Searches a category with pictures from anywhere."""

    def __init__(self, library: Library, queries: Queries) -> None:
        self._library = library
        self.queries = queries
        # As many searches at once as there are cores, each on one thread: more would only take each
        # other's turns.
        self._turns = threading.BoundedSemaphore(available_cores())
        cv2.setNumThreads(1)
        ThreadpoolController().limit(limits=1)

    def query_of(self, slug: str, content: bytes | None, words: str) -> Query:
        """Return the query picture: the uploaded bytes, else what the URL or the listing id in
        `words` shows.

        Raises ImageError for bytes that are no picture, FetchError for a URL, UnknownError for an
        id, InputError for nothing.
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
        """Return the `top` hits of a search with a region of the query picture; raises
        InputError.
        """
        search = self._library.search(slug)
        with self._turns:
            started = time.perf_counter()
            picture = search.describe(query.pixels, region, box)
            mode = mode if mode != "class" or picture.label else "exact"
            hits = search.search(picture, min(top, MOST_HITS), mode)
            return Found(picture, hits, time.perf_counter() - started)

    def named(self, slug: str, words: str) -> list[Hit]:
        """Return listings whose title has all the words, else those whose pictures show them, at
        most 24.
        """
        titled = self._library.search(slug).index.titled(words, MOST_NAMED)
        if titled or not words.strip():
            return titled
        by_words = self._library.word_search(slug)
        return by_words.search(words, MOST_NAMED) if by_words else []

    def _listing_query(self, slug: str, product_base_id: str) -> Query:
        search: PictureSearch = self._library.search(slug)
        hits = search.index.find(product_base_id)
        if not hits:
            raise UnknownError(
                f"No listing with the id {product_base_id[:80]!r} is in the search index."
            )
        return self.queries.of_pixels(load_image(self._library.blobs, hits[0].image_sha256))
