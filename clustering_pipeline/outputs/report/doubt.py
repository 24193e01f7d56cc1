"""Which clusters a person should look at first, which pair of pictures in each, and which listings
say the same in their titles and are not together.

A cluster hangs together by the heaviest matches between its pictures: its maximum spanning tree.
The lightest edge of that tree is the cluster's weakest link, for if that one match is wrong, the
cluster is two products.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pandas as pd

from clustering_pipeline.core.corrections import read_corrections
from clustering_pipeline.core.graph import spanning_links
from clustering_pipeline.core.text import title_words
from clustering_pipeline.outputs.report.listings import (
    Answers,
    CategoryTables,
    Listing,
    read_listings,
)


@dataclass(frozen=True)
class Link:
    """A match between two crops and its evidence; the fields are the columns of the matches
    manifest.
    """

    crop_a: str
    crop_b: str
    cosine: float | None
    inliers: int | None
    text_similarity: float | None
    lines_agreeing: int | None
    lines_conflicting: int | None
    colour_similarity: float | None
    number_conflict: str | None
    probability: float | None
    weight: float
    reasons: str | None = None


@dataclass(frozen=True)
class AskedPair:
    """A match with the two listings that a person is shown for it; beside a cluster, `first` is the
    cluster's own.
    """

    first: Listing
    second: Listing
    link: Link


@dataclass(frozen=True)
class Cluster:
    """A cluster as a person reviews it: the representative first, the doubt from 0 (none) to 1.

    `links`: the matches by which it hangs together and that nobody has judged yet, the weakest
    first; both listings are in the cluster. `neighbours`: other clusters that a match leads to, the
    most probable first, save those that people have spoken of: candidates for a merge.
    `confirmed`: whether people have judged all matches by which it hangs together.
    """

    cluster_id: int
    name: str
    listings: tuple[Listing, ...]
    doubt: float
    links: tuple[AskedPair, ...]
    neighbours: tuple[tuple[int, AskedPair], ...]
    confirmed: bool = False

    @property
    def weakest(self) -> AskedPair | None:
        """The pair to ask about first."""
        return self.links[0] if self.links else None

    @property
    def size(self) -> int:
        """The number of listings."""
        return len(self.listings)

    @property
    def representative(self) -> Listing:
        """The listing that stands for the cluster."""
        return self.listings[0]

    @property
    def pictures(self) -> tuple[Listing, ...]:
        """One listing per distinct picture, the representative first."""
        by_picture: dict[str | None, Listing] = {}
        for listing in self.listings:
            by_picture.setdefault(listing.keeper or listing.image_sha256, listing)
        return tuple(by_picture.values())


def review_order(tables: CategoryTables) -> list[Cluster]:
    """Return the category's clusters, the most doubtful first, then the largest."""
    listings = read_listings(tables)
    members = {number: _ordered(items) for number, items in _members(listings).items()}
    answers = known_answers(tables, listings)
    shown = _shown(members)
    links = _known_links(tables, shown)
    hanging, leading = weakest_links(links, shown), neighbouring_clusters(links, shown)
    clusters = []
    for number, items in members.items():
        pairs = [_asked(number, number, link, shown) for link in hanging.get(number, ())]
        others = [
            (other, _asked(number, other, link, shown))
            for other, link in leading.get(number, ())
            if not answers.settle_any(items, members[other])
        ]
        unasked = [pair for pair in pairs if not answers.settle(pair.first, pair.second)]
        clusters.append(_cluster(number, items, bool(pairs), unasked, others))
    return sorted(clusters, key=lambda cluster: (-cluster.doubt, -cluster.size, cluster.cluster_id))


# One listing per keeper and cluster. Titles may part the listings that share a keeper, so that a
# keeper can be in several clusters.
_Shown = Mapping[str, Mapping[int, Listing]]


def _shown(members: Mapping[int, Sequence[Listing]]) -> _Shown:
    shown: dict[str, dict[int, Listing]] = {}
    for number, items in members.items():
        for item in items:
            if item.keeper:
                shown.setdefault(item.keeper, {}).setdefault(number, item)
    return shown


def _asked(number: int, other: int, link: Link, shown: _Shown) -> AskedPair:
    """Return a link with its listing in cluster `number` and the one in cluster `other`."""
    here, there = shown[link.crop_a], shown[link.crop_b]
    if number in here and other in there:
        return AskedPair(here[number], there[other], link)
    return AskedPair(there[number], here[other], link)


def _known_links(tables: CategoryTables, shown: _Shown) -> list[Link]:
    return [
        link for link in read_links(tables.matches) if link.crop_a in shown and link.crop_b in shown
    ]


def known_answers(tables: CategoryTables, listings: Sequence[Listing]) -> Answers:
    """Return what people had said when the clusters were made."""
    if tables.corrections is None:
        return Answers([], listings)
    said = [recorded.statement for recorded in read_corrections(tables.corrections)]
    return Answers(said, listings)


def read_links(matches: pd.DataFrame) -> list[Link]:
    """Return the accepted matches (weight above 0), the heaviest first."""
    accepted = matches[matches["weight"] > 0].sort_values(
        ["weight", "crop_a", "crop_b"], ascending=[False, True, True]
    )
    return as_links(accepted)


def as_links(matches: pd.DataFrame) -> list[Link]:
    """Return the rows of a matches manifest, in their order."""
    fields = list(Link.__dataclass_fields__)
    values = matches[fields].astype(object).where(matches[fields].notna(), None)
    return [
        Link(**dict(zip(fields, row, strict=True)))
        for row in values.itertuples(index=False, name=None)
    ]


def weakest_links(
    links: Sequence[Link], clusters_of: Mapping[str, Collection[int]]
) -> dict[int, list[Link]]:
    """Return per cluster the edges of its maximum spanning tree, the lightest first.

    `links` come heaviest first; `clusters_of`: the clusters in which each crop is.
    """
    inside = [
        ((link.crop_a, number), (link.crop_b, number), link)
        for link in links
        for number in clusters_of[link.crop_a]
        if number in clusters_of[link.crop_b]
    ]
    nodes = dict.fromkeys(node for first, second, _ in inside for node in (first, second))
    place = {node: position for position, node in enumerate(nodes)}
    first = np.array([place[node] for node, _, _ in inside], np.int64)
    second = np.array([place[node] for _, node, _ in inside], np.int64)
    links_of: dict[int, list[Link]] = {}
    for position in reversed(list(spanning_links(len(place), first, second))):
        (_, number), _, link = inside[position]
        links_of.setdefault(number, []).append(link)
    return links_of


def neighbouring_clusters(
    links: Iterable[Link], clusters_of: Mapping[str, Collection[int]]
) -> dict[int, tuple[tuple[int, Link], ...]]:
    """Return per cluster the other clusters that a match leads to, each once by its heaviest match;
    heaviest first.

    A match of two crops that share a cluster leads nowhere: where one of them is in another cluster
    too, its listings there have a title that contradicts.
    """
    links_of: dict[int, dict[int, Link]] = {}
    for link in links:
        ones, others = clusters_of[link.crop_a], clusters_of[link.crop_b]
        if set(ones).isdisjoint(others):
            for a, b in product(ones, others):
                links_of.setdefault(a, {}).setdefault(b, link)
                links_of.setdefault(b, {}).setdefault(a, link)
    return {number: tuple(others.items()) for number, others in links_of.items()}


def _members(listings: Sequence[Listing]) -> dict[int, list[Listing]]:
    members: dict[int, list[Listing]] = {}
    for listing in listings:
        if listing.cluster_id is not None and listing.cluster_id >= 0:
            members.setdefault(listing.cluster_id, []).append(listing)
    return members


def _ordered(listings: Sequence[Listing]) -> tuple[Listing, ...]:
    return tuple(
        sorted(
            listings,
            key=lambda item: (not item.is_representative, -(item.confidence or 0), item.listing),
        )
    )


def _cluster(
    number: int,
    listings: tuple[Listing, ...],
    hangs_together: bool,
    links: Sequence[AskedPair],
    neighbours: Sequence[tuple[int, AskedPair]],
) -> Cluster:
    confirmed = hangs_together and not links
    return Cluster(
        cluster_id=number,
        name=listings[0].cluster_name or listings[0].title,
        listings=listings,
        doubt=0.0 if confirmed else _doubt(listings, links[0].link if links else None),
        links=tuple(links),
        neighbours=tuple(neighbours),
        confirmed=confirmed,
    )


def _doubt(listings: Sequence[Listing], weakest: Link | None) -> float:
    """One minus the probability of the weakest link; without one, one minus the lowest confidence,
    of one picture none.
    """
    if listings[0].keeper is not None and len({item.keeper for item in listings}) == 1:
        return 0.0
    if (
        weakest is not None
        and weakest.probability is not None
        and not math.isnan(weakest.probability)
    ):
        return 1 - weakest.probability
    chances = [
        item.confidence
        for item in listings
        if item.confidence is not None and not math.isnan(item.confidence)
    ]
    return 1 - min(chances) if chances else 0.5


@dataclass(frozen=True)
class SameTitle:
    """A title that listings of several clusters have, or of a cluster and of none.

    `places`: its listings by cluster, those of clusters first; one without a match is a place of
    its own.
    """

    title: str
    places: tuple[tuple[Listing, ...], ...]

    @property
    def clusters(self) -> frozenset[int]:
        """The numbers of the clusters in which the title is."""
        numbers = (place[0].cluster_id for place in self.places)
        return frozenset(number for number in numbers if number is not None and number > 0)


def same_titles(listings: Sequence[Listing], answers: Answers) -> list[SameTitle]:
    """Return the titles, compared without case and punctuation, whose listings are not together
    although nobody said that they should not be; those with most listings first.
    """
    groups: dict[tuple[str, ...], list[Listing]] = defaultdict(list)
    for listing in listings:
        words = title_words(listing.title)
        if words and listing.status in ("clustered", "no_match"):
            groups[words].append(listing)
    candidates = [SameTitle(items[0].title, _places(items)) for items in groups.values()]
    shown = [one for one in candidates if one.clusters and _is_open(one.places, answers)]
    return sorted(shown, key=lambda one: (-sum(map(len, one.places)), one.title))


def _places(listings: Iterable[Listing]) -> tuple[tuple[Listing, ...], ...]:
    places: dict[tuple[bool, int], list[Listing]] = defaultdict(list)
    for listing in listings:
        number = listing.cluster_id
        grouped = number is not None and number > 0
        key = (False, number) if grouped and number is not None else (True, listing.listing)
        places[key].append(listing)
    return tuple(tuple(places[key]) for key in sorted(places))


def _is_open(places: Sequence[Sequence[Listing]], answers: Answers) -> bool:
    return any(not answers.settle_any(one, other) for one, other in combinations(places, 2))
