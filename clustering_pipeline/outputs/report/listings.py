"""The listings of one category as the pages that people look at need them, made of its manifests;
and what people have answered of them already, so that nobody is asked it again.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from clustering_pipeline.core.corrections import Different, ListingReference, Same, Statement
from clustering_pipeline.core.graph import DisjointSets
from clustering_pipeline.outputs.prices import ProductPrices

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class CategoryTables:
    """Everything that is known of a category after a run; each frame follows the manifest of its
    name.

    `suggested_names`: what clusters are called that no person has named, by number. `prices`: what
    the listings of each cluster cost, by number.
    """

    category: str
    display_name: str
    catalogue: pd.DataFrame
    raw_images: pd.DataFrame
    crops: pd.DataFrame
    clean_images: pd.DataFrame
    semantic_duplicates: pd.DataFrame
    matches: pd.DataFrame
    clusters: pd.DataFrame
    local_features: pd.DataFrame | None = None
    embeddings: pd.DataFrame | None = None
    corrections: pd.DataFrame | None = None
    suggested_names: Mapping[int, str] = field(default_factory=dict)
    prices: Mapping[int, ProductPrices] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """One row of the catalogue with what became of it; the box is its crop's, in pixels of the
    whole picture.
    """

    listing: int
    sheet_row: int
    product_base_id: str
    title: str
    url: str
    status: str
    reason: str
    cluster_id: int | None
    cluster_size: int
    confidence: float | None
    is_representative: bool
    cluster_name: str
    image_sha256: str | None
    box: Box | None
    keeper: str | None

    @property
    def link(self) -> str | None:
        """The listing's URL when a browser may safely follow it."""
        return self.url if self.url.startswith(("https://", "http://")) else None


def read_listings(tables: CategoryTables) -> list[Listing]:
    """Return every listing of the category in the order of the workbook."""
    rows = tables.catalogue[["listing", "sheet_row", "product_base_id", "title", "url_cell"]]
    rows = rows.merge(tables.clusters, on="listing", how="left").merge(
        _first_pictures(tables), on="listing", how="left"
    )
    rows = rows.merge(
        _crop_places(tables), on=["listing", "crop_sha256"], how="left", suffixes=("", "_of_crop")
    )
    return [_listing(row, tables.suggested_names) for row in _records(rows)]


def first_by_keeper(listings: Iterable[Listing]) -> dict[str, Listing]:
    """Return one listing per crop that stands for some: the first."""
    by_keeper: dict[str, Listing] = {}
    for listing in listings:
        if listing.keeper:
            by_keeper.setdefault(listing.keeper, listing)
    return by_keeper


def _first_pictures(tables: CategoryTables) -> pd.DataFrame:
    pictures = tables.raw_images[tables.raw_images["image_sha256"].notna()]
    return pictures.sort_values(["listing", "position"]).drop_duplicates("listing")[
        ["listing", "url", "image_sha256"]
    ]


def _crop_places(tables: CategoryTables) -> pd.DataFrame:
    """Return where each listing's pictures show each of their crops; two files may hold the same
    pixels, and then either listing keeps its own.
    """
    pictures = tables.raw_images[["listing", "position", "image_sha256"]].dropna()
    places = tables.crops[["crop_sha256", "image_sha256", "x0", "y0", "x1", "y1"]].dropna()
    shown = pictures.merge(places, on="image_sha256").sort_values(
        ["listing", "position"], kind="stable"
    )
    return shown.drop_duplicates(["listing", "crop_sha256"]).drop(columns="position")


def _records(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    columns = [str(name) for name in frame.columns]
    for values in (
        frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None)
    ):
        yield dict(zip(columns, values, strict=True))


def _listing(row: dict[str, Any], names: Mapping[int, str]) -> Listing:
    in_crop = row["image_sha256_of_crop"] is not None
    cluster_id = None if row["cluster_id"] is None else int(row["cluster_id"])
    return Listing(
        listing=int(row["listing"]),
        sheet_row=int(row["sheet_row"] or 0),
        product_base_id=row["product_base_id"] or "",
        title=row["title"] or "",
        url=row["url"] or row["url_cell"] or "",
        status=row["status"] or "",
        reason=row["reason"] or "",
        cluster_id=cluster_id,
        cluster_size=int(row["cluster_size"] or 0),
        confidence=None if row["confidence"] is None else float(row["confidence"]),
        is_representative=bool(row["is_representative"]),
        cluster_name=row["cluster_name"] or names.get(-1 if cluster_id is None else cluster_id, ""),
        image_sha256=row["image_sha256_of_crop"] if in_crop else row["image_sha256"],
        box=(int(row["x0"]), int(row["y0"]), int(row["x1"]), int(row["y1"])) if in_crop else None,
        keeper=row["keeper"],
    )


class Answers:
    """What statements say of pairs of listings, and what follows from several of them.

    The listings of one cluster that share a picture are one thing to a reviewer: what was said of
    one of them holds for the others.
    """

    def __init__(self, statements: Iterable[Statement], listings: Iterable[Listing]) -> None:
        """`statements`: those in force; ones whose listings are not among `listings` say
        nothing.
        """
        self._sets = DisjointSets[int]()
        named = self._learn(listings)
        said = list(statements)
        for statement in said:
            if isinstance(statement, Same):
                for a, b in _pairs(statement, named):
                    self._sets.join(a, b)
        self._apart: dict[int, set[int]] = defaultdict(set)
        for statement in said:
            if isinstance(statement, Different):
                for a, b in _pairs(statement, named):
                    self._separate(self._sets.find(a), self._sets.find(b))

    def _learn(self, listings: Iterable[Listing]) -> dict[str, list[Listing]]:
        named: dict[str, list[Listing]] = defaultdict(list)
        first: dict[tuple[int | None, str], int] = {}
        for listing in listings:
            named[listing.product_base_id].append(listing)
            if listing.keeper:
                place = listing.cluster_id, listing.keeper
                self._sets.join(first.setdefault(place, listing.listing), listing.listing)
        return named

    def _separate(self, first: int, second: int) -> None:
        self._apart[first].add(second)
        self._apart[second].add(first)

    def said(self, first: Listing, second: Listing) -> bool | None:
        """Return whether people have said that the two show one product; None where nobody said
        anything from which it follows.
        """
        one, other = self._sets.find(first.listing), self._sets.find(second.listing)
        if one == other:
            return True
        return False if other in self._apart.get(one, ()) else None

    def settle(self, first: Listing, second: Listing) -> bool:
        """Whether people have said that the two show one product, or two."""
        return self.settle_any([first], [second])

    def settle_any(self, first: Sequence[Listing], second: Sequence[Listing]) -> bool:
        """Whether people have said so of any listing of `first` and any of `second`."""
        ones = {self._sets.find(listing.listing) for listing in first}
        others = {self._sets.find(listing.listing) for listing in second}
        apart = {far for one in ones for far in self._apart.get(one, ())}
        return not others.isdisjoint(ones | apart)


def confirmed_listings(statements: Iterable[Statement], listings: Iterable[Listing]) -> set[int]:
    """Return the listings, by number, of which people have said that they show the product of
    another one of their cluster.
    """
    by_id: dict[str, list[Listing]] = defaultdict(list)
    for listing in listings:
        by_id[listing.product_base_id].append(listing)
    cluster = {one.listing: one.cluster_id for same in by_id.values() for one in same}
    return {
        number
        for statement in statements
        if isinstance(statement, Same)
        for pair in _pairs(statement, by_id)
        if cluster[pair[0]] == cluster[pair[1]] is not None
        for number in pair
    }


def confirmed_clusters(statements: Iterable[Statement], listings: Sequence[Listing]) -> set[int]:
    """Return the clusters, by number, of several pictures that people have all said to show one
    product.
    """
    answers = Answers(statements, listings)
    members: dict[int, list[Listing]] = defaultdict(list)
    for listing in listings:
        if listing.cluster_id is not None and listing.cluster_id >= 0:
            members[listing.cluster_id].append(listing)
    return {
        number
        for number, inside in members.items()
        if len({one.keeper or one.listing for one in inside}) > 1
        and all(answers.said(inside[0], other) for other in inside[1:])
    }


def _pairs(said: Same | Different, named: dict[str, list[Listing]]) -> Iterable[tuple[int, int]]:
    return (
        (a.listing, b.listing)
        for a in _meant(said.a, named)
        for b in _meant(said.b, named)
        if a.listing != b.listing
    )


def _meant(said: ListingReference, named: dict[str, list[Listing]]) -> list[Listing]:
    return [
        listing
        for listing in named.get(said.product_base_id, ())
        if said.image_sha256 in (None, listing.image_sha256)
    ]
