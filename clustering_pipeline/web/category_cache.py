"""The categories as the pages see them: read from the manifests, kept in memory, read again when a
run has changed them.
"""

import hashlib
import logging
import re
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Generic, TypeVar

import pandas as pd
from cachetools import LRUCache

from clustering_pipeline.core.corrections import ListingReference, read_corrections
from clustering_pipeline.core.errors import InputError, PipelineError
from clustering_pipeline.core.manifests import (
    CATALOGUE,
    CLEAN_IMAGES,
    CLUSTERS,
    CORRECTIONS,
    CROPS,
    EMBEDDINGS,
    LOCAL_FEATURES,
    MATCHES,
    OFFERS,
    RAW_IMAGES,
    SEMANTIC_DUPLICATES,
    Manifest,
    empty,
)
from clustering_pipeline.outputs.category import category_tables
from clustering_pipeline.outputs.prices import (
    Offer,
    ProductPrices,
    listing_offers,
)
from clustering_pipeline.outputs.report import (
    CategoryTables,
    Cluster,
    Listing,
    SameTitle,
    confirmed_listings,
    known_answers,
    read_listings,
    review_order,
    same_titles,
)
from clustering_pipeline.outputs.search import (
    PictureSearch,
    SearchIndex,
    WordSearch,
    current_version,
    has_text_tower,
)
from clustering_pipeline.outputs.workbook import printed_lines
from clustering_pipeline.project import Project
from clustering_pipeline.review import PairQueue, Placed, actions, place_pictures
from clustering_pipeline.storage import FileTree, layout
from clustering_pipeline.web.background import BackgroundRuns

Thing = TypeVar("Thing")


class Shelf(Generic[Thing]):
    """Holds things up to a total size; what was not asked for longest gives way first, the newest
    never.
    """

    def __init__(self, room: int, gone: str) -> None:
        """`room`: the total size; `gone`: what to say when a thing is no longer there."""
        self._gone = gone
        self._things: LRUCache[str, tuple[Thing, int]] = LRUCache(
            room, getsizeof=lambda entry: entry[1]
        )
        self._lock = threading.Lock()

    def keep(self, thing: Thing, size: int) -> str:
        """Hold a thing and return its name."""
        name = secrets.token_urlsafe(18)
        with self._lock:
            # A thing larger than all the room takes all of it.
            self._things[name] = thing, min(size, int(self._things.maxsize))
        return name

    def get(self, name: str) -> Thing:
        """Return the thing of that name; raises UnknownError when it has given way."""
        with self._lock:
            if name not in self._things:
                raise UnknownError(self._gone)
            return self._things[name][0]


_READ = (
    CATALOGUE,
    RAW_IMAGES,
    CROPS,
    CLEAN_IMAGES,
    SEMANTIC_DUPLICATES,
    LOCAL_FEATURES,
    MATCHES,
    CLUSTERS,
    CORRECTIONS,
    OFFERS,
)
SECONDS_BETWEEN_LOOKS = 1.0
# Of clusters with one name.
MOST_TOLD = 8
STAMP_DIGITS = 24


class UnknownError(PipelineError):
    """A request names something that does not exist: a category, a cluster, a listing, a query
    picture.
    """


class ChangedError(InputError):
    """A request speaks of listings or clusters that are others by now."""


@dataclass(frozen=True)
class Category:
    """One category after its last run."""

    slug: str
    tables: CategoryTables

    @property
    def display_name(self) -> str:
        """The name as its file or its owner writes it."""
        return self.tables.display_name

    @cached_property
    def clusters(self) -> list[Cluster]:
        """Every cluster, the most doubtful first."""
        return review_order(self.tables)

    @cached_property
    def by_number(self) -> Mapping[int, Cluster]:
        """Every cluster by its cluster_id."""
        return {cluster.cluster_id: cluster for cluster in self.clusters}

    @cached_property
    def listings(self) -> Mapping[int, Listing]:
        """Every listing by its number."""
        return {listing.listing: listing for listing in read_listings(self.tables)}

    @cached_property
    def stamp(self) -> str:
        """What tells these listings from those of another workbook or other pictures: a listing's
        number is that of its row, which may be another's after the next run.
        """
        return _digest(
            f"{one.listing}\0{one.product_base_id}\0{one.image_sha256}"
            for one in self.listings.values()
        )

    @cached_property
    def grouping_stamp(self) -> str:
        """What tells these listings and their clusters from those of another run."""
        places = (f"{one.listing}\0{one.cluster_id}" for one in self.listings.values())
        return _digest([self.stamp, *places])

    def cluster_stamp(self, cluster: Cluster) -> str:
        """What tells a cluster as it is now from what it was or will be."""
        return _digest([self.stamp, actions.content_of(cluster)])

    @cached_property
    def revision(self) -> str:
        """What programs are given beside the listings and send back with what they say of them."""
        return f"{self.stamp}.{self.grouping_stamp}"

    def check_revision(self, revision: str | None, *, is_grouping_meant: bool) -> None:
        """Raise ChangedError unless the listings are those that a program read, and their clusters
        too where it speaks of clusters; None: it does not say what it read.
        """
        if revision is None or revision == self.revision:
            return
        if is_grouping_meant or revision.partition(".")[0] != self.stamp:
            raise ChangedError(
                f"The listings or clusters of {self.display_name} changed since they were read. "
                f"Nothing was recorded: read them again, and send their revision."
            )

    @property
    def prices(self) -> Mapping[int, ProductPrices]:
        """What the listings of each cluster cost, by cluster_id."""
        return self.tables.prices

    @cached_property
    def has_prices(self) -> bool:
        """Whether the workbook has prices."""
        return any(one.lowest is not None for one in self.prices.values())

    @cached_property
    def far_prices(self) -> Mapping[int, Offer]:
        """The offers whose price is far from their cluster's, by listing."""
        return {offer.listing: offer for one in self.prices.values() for offer in one.far}

    @cached_property
    def confirmed(self) -> set[int]:
        """The listings that people have said to belong to another one of their cluster."""
        assert self.tables.corrections is not None
        said = [one.statement for one in read_corrections(self.tables.corrections)]
        return confirmed_listings(said, self.listings.values())

    @cached_property
    def same_titles(self) -> list[SameTitle]:
        """Titles whose listings are not together, although nobody said that they should not be."""
        listings = list(self.listings.values())
        return same_titles(listings, known_answers(self.tables, listings))

    @cached_property
    def queue(self) -> PairQueue:
        """The pairs to ask people about."""
        return PairQueue(self.tables, self.clusters)

    def listing_named(self, reference: ListingReference) -> Listing | None:
        """Return the listing that a correction names, the first of an id without a picture; None
        when this category has none.
        """
        return self._by_identifier.get(reference.product_base_id, {}).get(reference.image_sha256)

    @cached_property
    def _by_identifier(self) -> Mapping[str, Mapping[str | None, Listing]]:
        by_identifier: dict[str, dict[str | None, Listing]] = {}
        for listing in self.listings.values():
            of_picture = by_identifier.setdefault(listing.product_base_id, {None: listing})
            of_picture.setdefault(listing.image_sha256, listing)
        return by_identifier

    @cached_property
    def crop_sizes(self) -> Mapping[str, tuple[int, int]]:
        """Width and height of each crop, pixels."""
        frame = self.tables.crops[self.tables.crops["crop_sha256"].notna()]
        sizes = zip(frame["x1"] - frame["x0"], frame["y1"] - frame["y0"], strict=True)
        return {
            crop: (int(width), int(height))
            for crop, (width, height) in zip(frame["crop_sha256"], sizes, strict=True)
        }

    @cached_property
    def local_features(self) -> Mapping[str, str]:
        """The blob of each crop's local features."""
        frame = self.tables.local_features
        assert frame is not None
        return dict(zip(frame["crop_sha256"], frame["features"], strict=True))

    def cluster(self, number: int) -> Cluster:
        """Return a cluster; raises UnknownError."""
        if number not in self.by_number:
            raise UnknownError(
                f"{self.display_name} has no cluster {number}. It may have changed with the last "
                f"run."
            )
        return self.by_number[number]

    def cluster_named(self, text: str) -> Cluster:
        """Return the cluster that a person means by its number, by `Name (number)`, or by a name
        that only one has or begins with; raises UnknownError.
        """
        words = text.strip()
        number = re.fullmatch(r"(?:.*[(#])?(\d{1,15})\)?", words)
        if number:
            return self.cluster(int(number[1]))
        wanted = words.casefold()
        called = [one for one in self.clusters if one.name and one.size > 1]
        matches = [one for one in called if one.name.casefold() == wanted] or [
            one for one in called if wanted and wanted in one.name.casefold()
        ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            numbers = ", ".join(str(one.cluster_id) for one in matches[:MOST_TOLD])
            raise UnknownError(
                f"{len(matches)} clusters are called so: {numbers}"
                f"{' …' if len(matches) > MOST_TOLD else ''}. Give the number."
            )
        near = get_close_matches(wanted, [one.name.casefold() for one in called], 1)
        meant = next((one.name for one in called if near and one.name.casefold() == near[0]), None)
        raise UnknownError(
            f"{self.display_name} has no cluster called {words[:80]!r}."
            + (f" Is {meant!r} meant?" if meant else " Give its number.")
        )

    def listing(self, number: int) -> Listing:
        """Return a listing by its number; raises UnknownError."""
        if number not in self.listings:
            raise UnknownError(f"{self.display_name} has no listing {number}.")
        return self.listings[number]


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:STAMP_DIGITS]


@dataclass
class _Opened:
    version: tuple[str | None, ...]
    looked: float
    category: Category


class Library:
    """Opens categories and their search indices on first use and replaces them when a run has
    written new ones.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.corrections = project.corrections
        self.progress = project.review_progress
        self.blobs = project.blobs
        self.runs = BackgroundRuns(project.home)
        self._manifests = project.manifests
        self._lock = threading.RLock()
        self._categories: dict[str, _Opened] = {}
        self._searches: dict[str, PictureSearch] = {}
        self._word_searches: dict[str, tuple[str, WordSearch]] = {}
        self._printed: dict[str, tuple[CategoryTables, Mapping[str, Sequence[str]]]] = {}
        self._maps: dict[str, tuple[CategoryTables, Placed, Mapping[int, Offer]]] = {}

    def slugs(self) -> list[str]:
        """Return the categories that have clusters."""
        return self._manifests.categories(CLUSTERS.name)

    def category(self, slug: str) -> Category:
        """Return a category as its last run left it; raises UnknownError."""
        if slug not in self.slugs():
            raise UnknownError(
                f"There is no category {slug[:80]!r} with clusters. Run it first: "
                f"clustering-pipeline run."
            )
        with self._lock:
            cached = self._categories.get(slug)
            if cached is None or time.monotonic() - cached.looked > SECONDS_BETWEEN_LOOKS:
                cached = self._look(slug, cached)
                self._categories[slug] = cached
            return cached.category

    def search(self, slug: str) -> PictureSearch:
        """Return the search over a category's current index; raises UnknownError, and StageError
        when there is no index.
        """
        self.category(slug)
        files = self._search_files(slug)
        with self._lock:
            search = self._searches.get(slug)
            if search is None or search.index.version != current_version(files):
                context = self.project.context(slug, logging.getLogger(__name__))
                search = PictureSearch(SearchIndex.load(files), context)
                self._searches[slug] = search
            return search

    def word_search(self, slug: str) -> WordSearch | None:
        """Return the search by words over a category's current index; None where the encoder
        understands pictures only.
        """
        index = self.search(slug).index
        if not has_text_tower(index.settings.embeddings):
            return None
        with self._lock:
            cached = self._word_searches.get(slug)
            if cached is None or cached[0] != index.version:
                context = self.project.context(slug, logging.getLogger(__name__))
                cached = (index.version, WordSearch(index, context))
                self._word_searches[slug] = cached
            return cached[1]

    def printed(self, slug: str) -> Mapping[str, Sequence[str]]:
        """Return the largest lines that were read on packs, by crop; read when first asked for
        after a run.
        """
        tables = self.category(slug).tables
        with self._lock:
            cached = self._printed.get(slug)
            if cached is None or cached[0] is not tables:
                assert tables.local_features is not None
                context = self.project.context(slug, logging.getLogger(__name__))
                matching = self.project.category_settings(slug).matches
                cached = (tables, printed_lines(tables.local_features, matching, context))
                self._printed[slug] = cached
            return cached[1]

    def map(self, slug: str) -> tuple[Placed, Mapping[int, Offer]]:
        """Return the places of a category's pictures and the offers of its listings by number; made
        when first asked for after a run.
        """
        category = self.category(slug)
        cached = self._maps.get(slug)
        if cached is None or cached[0] is not category.tables:
            # Without the lock, which every page needs: that two make it at once does no harm.
            frame = self._read(EMBEDDINGS, slug)
            vectors = dict(zip(frame["crop_sha256"], frame["vector"], strict=True))
            offers = listing_offers(self._read(OFFERS, slug), category.tables.catalogue)
            placed = place_pictures(category.queue.pictures, vectors)
            cached = self._maps[slug] = (category.tables, placed, offers)
        return cached[1:]

    def has_search(self, slug: str) -> bool:
        """Whether a search index has been built for a category."""
        return current_version(self._search_files(slug)) is not None

    def page(self, slug: str, name: str) -> bytes:
        """Return a page that a stage wrote for a category, such as `report`; raises UnknownError
        when there is none.
        """
        if not self.has_page(slug, name):
            raise UnknownError(
                f"There is no page {name[:80]!r} of {slug[:80]!r} yet. The stage that writes it "
                f"has to run first."
            )
        return self.project.outputs.read(f"{slug}/{name}.html")

    def has_page(self, slug: str, name: str) -> bool:
        """Whether a stage wrote a page of that name for a category."""
        return slug in self._manifests.categories() and f"{name}.html" in self.project.outputs.list(
            slug, ".html"
        )

    def report_name(self, slug: str, language: str) -> str:
        """Return the name of the report that the reader of a language is shown."""
        name = layout.report(language)
        is_written = slug in self._manifests.categories() and name in self.project.outputs.list(
            slug, ".html"
        )
        return (name if is_written else layout.REPORT).removesuffix(".html")

    def workbook_path(self, slug: str) -> str | None:
        """Return where the labelled workbook of a category lies among the outputs; None before
        there is one.
        """
        written = self._manifests.read("labeled_excel", slug)
        paths = [] if written is None else written["path"].astype(str).tolist()
        # The others are copies outside the storage, where the user wanted them.
        present = (
            path
            for path in paths
            if path.startswith(f"{slug}/") and self.project.outputs.exists(path)
        )
        return next(present, None)

    def workbook(self, slug: str) -> tuple[str, bytes]:
        """Return the name and the bytes of a category's labelled workbook; raises UnknownError when
        there is none.
        """
        path = self.workbook_path(self.category(slug).slug)
        if path is None:
            raise UnknownError(
                "This category has no labelled workbook yet. Materialise its labeled_excel."
            )
        return path.rpartition("/")[2], self.project.outputs.read(path)

    def pending(self, category: Category) -> set[int]:
        """Return the numbers of the corrections that the clusters shown do not honour yet."""
        assert category.tables.corrections is not None
        honoured = set(category.tables.corrections["number"])
        in_force = self.corrections.in_force(category.slug)
        return {recorded.number for recorded in in_force} - honoured

    def _search_files(self, slug: str) -> FileTree:
        return FileTree(self.project.search_root(slug))

    def _look(self, slug: str, cached: _Opened | None) -> _Opened:
        version = tuple(
            self._manifests.version(manifest.name, slug)
            for manifest in (CLUSTERS, CATALOGUE, CORRECTIONS, OFFERS)
        )
        if cached is not None and cached.version == version:
            return _Opened(version, time.monotonic(), cached.category)
        return _Opened(version, time.monotonic(), self._open(slug))

    def _open(self, slug: str) -> Category:
        frames = {manifest.name: self._read(manifest, slug) for manifest in _READ}
        settings = self.project.category_settings(slug)
        tables = category_tables(
            frames,
            self._display_name(slug),
            self.project.context(slug, logging.getLogger(__name__)),
            matches=settings.matches,
            offers=settings.offers,
        )
        return Category(slug, tables)

    def _read(self, manifest: Manifest, slug: str) -> pd.DataFrame:
        frame = self._manifests.read(manifest.name, slug)
        return empty(manifest) if frame is None else frame

    def _display_name(self, slug: str) -> str:
        try:
            return self.project.sources.load(slug).display_name
        except PipelineError:
            return slug
