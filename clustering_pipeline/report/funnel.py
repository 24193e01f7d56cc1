"""How many listings are left after each step."""

from collections import Counter
from dataclasses import dataclass

from clustering_pipeline.report.tables import CategoryTables, Listing


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
    counts = dict.fromkeys(("clustered", "no_match", "rejected", "download_failed", "invalid_row"), 0)
    for listing in listings:
        counts[listing.status] = counts.get(listing.status, 0) + 1
    return counts


def lost_reasons(listings: list[Listing], most: int = 8) -> list[tuple[str, int]]:
    """Return why listings have no usable picture, the most frequent reason first, at most `most` of them."""
    lost = (listing.reason for listing in listings if listing.status in ("rejected", "download_failed", "invalid_row"))
    return Counter(reason for reason in lost if reason).most_common(most)


def picture_counts(tables: CategoryTables) -> list[Step]:
    """Return the counts of what the steps worked on: pictures, crops, duplicates, matches."""
    status = tables.clean_images["status"]
    semantic = tables.semantic_duplicates
    duplicates = int((status == "duplicate").sum()) + int((semantic["keeper"] != semantic["crop_sha256"]).sum())
    return [
        Step("distinct", int(tables.raw_images["image_sha256"].nunique())),
        Step("crops", len(tables.clean_images)),
        Step("duplicates", duplicates),
        Step("kept", int((status == "kept").sum())),
        Step("matches", int((tables.matches["weight"] > 0).sum())),
    ]


def size_histogram(sizes: list[int], last: int = 12) -> list[tuple[str, int]]:
    """Return (size, clusters of that size) from 1 to `last`, where the last bin holds all larger ones."""
    counts = [0] * (last + 1)
    for size in sizes:
        counts[min(size, last)] += 1
    shown = max((size for size in range(1, last + 1) if counts[size]), default=0)
    return [(f"{size}+" if size == last else str(size), counts[size]) for size in range(1, shown + 1)]
