"""The charts of the report: how many listings are left after each step, and the map of a
category.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.duplicates import linked
from clustering_pipeline.core.vectors import principal_axes, turned
from clustering_pipeline.outputs.report.tables import CategoryTables, Listing, first_by_keeper

MOST_DOTS = 3000
# The golden angle spreads the hues of consecutive numbers.
GOLDEN_ANGLE = 137.508


@dataclass(frozen=True)
class Dot:
    """A crop on the map: its place from 0 to 100 across and down, and the listing that it shows."""

    x: float
    y: float
    listing: Listing

    @property
    def hue(self) -> int | None:
        """The colour of its cluster in degrees; None without a cluster."""
        number = self.listing.cluster_id
        return None if number is None or number < 0 else round(number * GOLDEN_ANGLE) % 360


def draw_map(tables: CategoryTables, listings: list[Listing]) -> list[Dot]:
    """Return a dot per compared crop, at most 3,000, placed by the two main axes of the cluster
    centres.

    Axes through the centres, not through the crops, spread the products and keep the photos of one
    product together.
    """
    if tables.embeddings is None or len(tables.embeddings) < 3:
        return []
    by_crop = first_by_keeper(listings)
    rows = [(crop, vector) for crop, vector in _vectors(tables) if crop in by_crop][:MOST_DOTS]
    if len(rows) < 3:
        return []
    shown = [by_crop[crop] for crop, _ in rows]
    places = _places(
        np.stack([vector for _, vector in rows]), [listing.cluster_id for listing in shown]
    )
    return [Dot(float(x), float(y), listing) for (x, y), listing in zip(places, shown, strict=True)]


def _vectors(tables: CategoryTables) -> list[tuple[str, NDArray[np.float32]]]:
    assert tables.embeddings is not None
    frame = tables.embeddings
    return [
        (crop, np.asarray(vector))
        for crop, vector in zip(frame["crop_sha256"], frame["vector"], strict=True)
    ]


def _places(vectors: NDArray[np.float32], clusters: list[int | None]) -> NDArray[np.float64]:
    """Return positions from 2 to 98, float64 (count, 2)."""
    _, groups = np.unique(
        [-1 - row if number in (None, -1) else number for row, number in enumerate(clusters)],
        return_inverse=True,
    )
    sums = np.zeros((groups.max() + 1, vectors.shape[1]))
    np.add.at(sums, groups, vectors)
    centres = sums / np.bincount(groups)[:, None]
    middle, axes = principal_axes(centres)
    axes = turned(axes[:2])
    # Two clusters, or equal vectors, have fewer than two axes; the others then stay flat.
    placed = np.pad((vectors - middle) @ axes.T, ((0, 0), (0, 2 - len(axes))))
    low, high = placed.min(axis=0), placed.max(axis=0)
    places: NDArray[np.float64] = (2 + 96 * (placed - low) / np.maximum(high - low, 1e-9)).round(2)
    return places


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
