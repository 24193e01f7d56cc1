"""The charts of the report: how many listings are left after each step, and the map of a
category.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.duplicates import linked
from clustering_pipeline.core.plane import place_groups
from clustering_pipeline.outputs.report.tables import CategoryTables, Listing, first_by_keeper

MOST_DOTS = 3000
# The golden angle spreads the hues of consecutive numbers.
GOLDEN_ANGLE = 137.508


@dataclass(frozen=True)
class Dot:
    """A crop on the map: its place from the left and from the top, and the listing it shows."""

    x: float
    y: float
    listing: Listing

    @property
    def hue(self) -> int | None:
        """The colour of its cluster in degrees; None without a cluster."""
        number = self.listing.cluster_id
        return None if number is None or number < 0 else round(number * GOLDEN_ANGLE) % 360


@dataclass(frozen=True)
class CategoryMap:
    """A dot per crop on a plane of this size."""

    dots: tuple[Dot, ...] = ()
    width: float = 0.0
    height: float = 0.0


def draw_map(tables: CategoryTables, listings: list[Listing]) -> CategoryMap:
    """Return a dot per compared crop, at most 3,000, on the plane of the map that the pages show:
    the crops of a cluster lie in a disc, the surest in its middle.

    No dots where fewer than three crops were compared.
    """
    if tables.embeddings is None:
        return CategoryMap()
    by_crop = first_by_keeper(listings)
    frame = tables.embeddings[tables.embeddings["crop_sha256"].isin(set(by_crop))].head(MOST_DOTS)
    if len(frame) < 3:
        return CategoryMap()
    groups: dict[tuple[int, str], list[tuple[Listing, NDArray[np.float32]]]] = defaultdict(list)
    for crop, vector in zip(frame["crop_sha256"], frame["vector"], strict=True):
        listing = by_crop[crop]
        alone = listing.cluster_id is None or listing.cluster_id < 0
        place = (-1, crop) if alone else (int(listing.cluster_id or 0), "")
        groups[place].append((listing, np.asarray(vector)))
    for members in groups.values():
        members.sort(key=lambda one: -(one[0].confidence or 0.0))
    plane = place_groups([np.stack([vector for _, vector in one]) for one in groups.values()])
    shown = [listing for members in groups.values() for listing, _ in members]
    dots = tuple(
        Dot(float(x), float(y), listing)
        for (x, y), listing in zip(plane.places.round(2), shown, strict=True)
    )
    return CategoryMap(dots, round(plane.width, 2), round(plane.height, 2))


@dataclass(frozen=True)
class Step:
    """A step of the funnel: the key of its words, and how many listings are left."""

    key: str
    count: int


def funnel(listings: list[Listing]) -> list[Step]:
    """Return the listings left after each step, from the workbook's rows to the clusters."""
    counts = status_counts(listings)
    usable = len(listings) - counts["invalid_row"]
    downloaded = usable - counts["download_failed"]
    return [
        Step("step_rows", len(listings)),
        Step("step_usable", usable),
        Step("step_downloaded", downloaded),
        Step("step_accepted", downloaded - counts["rejected"]),
        Step("step_clustered", counts["clustered"]),
    ]


def status_counts(listings: list[Listing]) -> dict[str, int]:
    """Return how many listings have each status."""
    counts = dict.fromkeys(
        ("clustered", "no_match", "rejected", "download_failed", "invalid_row"), 0
    )
    for listing in listings:
        counts[listing.status] = counts.get(listing.status, 0) + 1
    return counts


def lost_reasons(listings: list[Listing], most: int = 8) -> list[tuple[str, int]]:
    """Return why listings have no usable picture, the most frequent reason first, at most `most` of
    them.
    """
    lost = (
        listing.reason
        for listing in listings
        if listing.status in ("rejected", "download_failed", "invalid_row")
    )
    return Counter(reason for reason in lost if reason).most_common(most)


def picture_counts(tables: CategoryTables) -> list[Step]:
    """Return the counts of what the steps worked on: pictures, crops, duplicates, matches."""
    status = tables.clean_images["status"]
    duplicates = int((status == "duplicate").sum()) + len(linked(tables.semantic_duplicates))
    return [
        Step("distinct", int(tables.raw_images["image_sha256"].nunique())),
        Step("crops", len(tables.clean_images)),
        Step("duplicates", duplicates),
        Step("kept", int((status == "kept").sum())),
        Step("matches", int((tables.matches["weight"] > 0).sum())),
    ]


def size_histogram(sizes: list[int], last: int = 12) -> list[tuple[str, int]]:
    """Return (size, clusters of that size) from 1 to `last`, where the last bin holds all larger
    ones.

    Example:
        >>> size_histogram([1, 1, 3, 20], last=4)
        [('1', 2), ('2', 0), ('3', 1), ('4+', 1)]
    """
    counts = [0] * (last + 1)
    for size in sizes:
        counts[min(size, last)] += 1
    shown = max((size for size in range(1, last + 1) if counts[size]), default=0)
    return [
        (f"{size}+" if size == last else str(size), counts[size]) for size in range(1, shown + 1)
    ]
