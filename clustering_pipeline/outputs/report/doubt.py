"""Which clusters a person should look at first, and which pair of pictures in each.

A cluster hangs together by the heaviest matches between its pictures: its maximum spanning tree.
The lightest edge of that tree is the cluster's weakest link, for if that one match is wrong, the
cluster is two products.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustering_pipeline.core.graph import spanning_links
from clustering_pipeline.outputs.report.tables import CategoryTables, Listing, read_listings


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
class Cluster:
    """A cluster as a person reviews it: the representative first, the doubt from 0 (none) to 1."""

    cluster_id: int
    name: str
    listings: tuple[Listing, ...]
    doubt: float
    weakest: Link | None
    # Other clusters that a match leads to, the most probable first: candidates for a merge.
    neighbours: tuple[tuple[int, Link], ...]

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
        seen: dict[str | None, Listing] = {}
        for listing in self.listings:
            seen.setdefault(listing.keeper or listing.image_sha256, listing)
        return tuple(seen.values())


def review_order(tables: CategoryTables) -> list[Cluster]:
    """Return the category's clusters, the most doubtful first, then the largest."""
    listings = read_listings(tables)
    members = _members(listings)
    cluster_of = {
        item.keeper: number for number, items in members.items() for item in items if item.keeper
    }
    links = [
        link
        for link in read_links(tables.matches)
        if link.crop_a in cluster_of and link.crop_b in cluster_of
    ]
    weakest, neighbours = weakest_links(links, cluster_of), neighbouring_clusters(links, cluster_of)
    clusters = [
        _cluster(number, items, weakest.get(number), neighbours.get(number, ()))
        for number, items in members.items()
    ]
    return sorted(clusters, key=lambda cluster: (-cluster.doubt, -cluster.size, cluster.cluster_id))


def read_links(matches: pd.DataFrame) -> list[Link]:
    """Return the accepted matches (weight above 0), the heaviest first."""
    accepted = matches[matches["weight"] > 0].sort_values(
        ["weight", "crop_a", "crop_b"], ascending=[False, True, True]
    )
    fields = list(Link.__dataclass_fields__)
    values = accepted[fields].astype(object).where(accepted[fields].notna(), None)
    return [
        Link(**dict(zip(fields, row, strict=True)))
        for row in values.itertuples(index=False, name=None)
    ]


def weakest_links(links: Iterable[Link], cluster_of: Mapping[Any, int]) -> dict[int, Link]:
    """Return per cluster the lightest edge of its maximum spanning tree; `links` come heaviest
    first.
    """
    inside = [link for link in links if cluster_of[link.crop_a] == cluster_of[link.crop_b]]
    place = {crop: number for number, crop in enumerate(cluster_of)}
    first = np.array([place[link.crop_a] for link in inside], np.int64)
    second = np.array([place[link.crop_b] for link in inside], np.int64)
    kept = [inside[position] for position in spanning_links(len(place), first, second)]
    return {cluster_of[link.crop_a]: link for link in kept}


def neighbouring_clusters(
    links: Iterable[Link], cluster_of: Mapping[Any, int]
) -> dict[int, tuple[tuple[int, Link], ...]]:
    """Return per cluster the other clusters that a match leads to, each once by its heaviest match;
    heaviest first.
    """
    found: dict[int, dict[int, Link]] = {}
    for link in links:
        a, b = cluster_of[link.crop_a], cluster_of[link.crop_b]
        if a != b:
            found.setdefault(a, {}).setdefault(b, link)
            found.setdefault(b, {}).setdefault(a, link)
    return {number: tuple(others.items()) for number, others in found.items()}


def _members(listings: Sequence[Listing]) -> dict[int, list[Listing]]:
    members: dict[int, list[Listing]] = {}
    for listing in listings:
        if listing.cluster_id is not None and listing.cluster_id >= 0:
            members.setdefault(listing.cluster_id, []).append(listing)
    return members


def _cluster(
    number: int,
    listings: Sequence[Listing],
    weakest: Link | None,
    neighbours: tuple[tuple[int, Link], ...],
) -> Cluster:
    ordered = tuple(
        sorted(
            listings,
            key=lambda item: (not item.is_representative, -(item.confidence or 0), item.listing),
        )
    )
    return Cluster(
        cluster_id=number,
        name=ordered[0].cluster_name or ordered[0].title,
        listings=ordered,
        doubt=_doubt(ordered, weakest),
        weakest=weakest,
        neighbours=neighbours,
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
    known = [
        item.confidence
        for item in listings
        if item.confidence is not None and not math.isnan(item.confidence)
    ]
    return 1 - min(known) if known else 0.5
