"""Results as a notebook and as a terminal show them: clusters, and what speaks for and against a
pair of listings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import pandas as pd
from jinja2 import Environment

from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.core.markup import Element, canvas, circle, element, open_templates
from clustering_pipeline.imaging import ImageError
from clustering_pipeline.outputs.report import (
    GAP,
    VIEW_HEIGHT,
    VIEW_WIDTH,
    CategoryTables,
    Link,
    Listing,
    PairView,
    Texts,
    as_links,
    data_uri,
    link_words,
    pair_evidence,
    thumbnail_jpeg,
)
from clustering_pipeline.settings import VerificationSettings
from clustering_pipeline.stages.features import LocalFeatures, load_features
from clustering_pipeline.storage import BlobStore

TERMINAL_NAMES = 46


@cache
def _templates() -> Environment:
    return open_templates("clustering_pipeline.api")


def render(template: str, **values: Any) -> str:
    """Return the HTML of a template of this package."""
    return _templates().get_template(template).render(**values)


@dataclass(frozen=True)
class Tile:
    """One picture of a cluster: a data URI, None where the picture cannot be read, and its
    caption.
    """

    picture: str | None
    caption: str


@dataclass(frozen=True)
class ShownCluster:
    """A cluster as it is shown: `tiles` of its first pictures, and how many more it has."""

    number: int
    name: str
    listings: int
    confidence: float | None
    tiles: Sequence[Tile]
    more: int


@dataclass(frozen=True)
class Shown:
    """Clusters to look at: pictures in a notebook, a table in a terminal (`print` it in a
    script).
    """

    heading: str
    clusters: Sequence[ShownCluster]
    left_out: int

    def __str__(self) -> str:
        lines = [self.heading]
        for one in self.clusters:
            name = (
                one.name
                if len(one.name) <= TERMINAL_NAMES
                else one.name[: TERMINAL_NAMES - 1] + "…"
            )
            sure = "" if one.confidence is None else f"{one.confidence:.2f}"
            lines.append(f"{one.number:>6}  {one.listings:>4} ×  {sure:>4}  {name}")
        if self.left_out:
            lines.append(f"and {self.left_out:,} more clusters")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return render("shown.html", shown=self)


DRAWN_PIXELS = 480
INK = "#0a9e8f"
_ENGLISH = Texts("en")


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against two listings being one product.

    Attributes:
        first, second: the ids of the listings.
        same: whether they are in one cluster.
        probability: how likely their two pictures show one product; None where the pair was never
            compared.
        relation: what the pair is, in a sentence.
        reasons: the evidence in words, each with whether it speaks against the match.
        figures: the columns of the matches manifest for the pair; empty where it was never
            compared.
    """

    first: str
    second: str
    same: bool
    probability: float | None
    relation: str
    reasons: tuple[tuple[str, bool], ...]
    figures: "pd.Series[Any]"
    draw_pictures: Callable[[], str]

    @cached_property
    def drawing(self) -> str:
        """Both pictures with lines between the points of print that agree, as SVG."""
        return self.draw_pictures()

    def __str__(self) -> str:
        lines = [f"{self.first} and {self.second}: {self.relation}"]
        lines += [f"  {'−' if against else '+'} {words}" for words, against in self.reasons]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return render("evidence.html", evidence=self)


def pair_of(tables: CategoryTables, blobs: BlobStore, first: Listing, second: Listing) -> Evidence:
    """Return the evidence of two listings of one category."""
    row = _match(tables, first, second)
    link = None if row is None else as_links(row)[0]
    same = first.cluster_id == second.cluster_id and (first.cluster_id or -1) >= 0
    return Evidence(
        first=first.product_base_id,
        second=second.product_base_id,
        same=same,
        probability=None if link is None else link.probability,
        relation=_relation(first, second, same, link),
        reasons=() if link is None else tuple(link_words(link, _ENGLISH)),
        figures=pd.Series(dtype=object) if row is None else row.iloc[0].dropna(),
        draw_pictures=lambda: _drawing(tables, blobs, first, second),
    )


def _match(tables: CategoryTables, first: Listing, second: Listing) -> pd.DataFrame | None:
    if first.keeper is None or second.keeper is None:
        return None
    one, other = sorted((first.keeper, second.keeper))
    pair = tables.matches[(tables.matches["crop_a"] == one) & (tables.matches["crop_b"] == other)]
    return None if pair.empty else pair


def _relation(first: Listing, second: Listing, same: bool, link: Link | None) -> str:
    place = "in one cluster" if same else "not in one cluster"
    for listing in (first, second):
        if listing.keeper is None:
            return f"{listing.product_base_id} was not compared: {listing.reason}"
    if first.keeper == second.keeper:
        return f"{place}; both show the same picture."
    if link is None:
        return f"{place}; the two pictures were never compared with each other."
    if link.probability is None:
        return f"{place}; the pair was refused."
    return f"{place}; one product with a probability of {link.probability:.2f}."


def _drawing(tables: CategoryTables, blobs: BlobStore, first: Listing, second: Listing) -> str:
    places = (0, VIEW_HEIGHT + GAP)
    parts = [
        part
        for place, listing in zip(places, (first, second), strict=True)
        for part in _square(place, picture_uri(blobs, listing, DRAWN_PIXELS))
    ]
    for x1, y1, x2, y2 in _points(tables, blobs, first, second).lines:
        line = element(
            "line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=INK, stroke_width=0.45, opacity=0.75
        )
        ends = (circle(x, y, 0.9, fill=INK) for x, y in ((x1, y1), (x2, y2)))
        parts += [line, *ends]
    title = " / ".join(one.title or one.product_base_id for one in (first, second))
    return str(
        canvas(
            VIEW_WIDTH,
            VIEW_HEIGHT,
            *parts,
            font_size=6,
            role="img",
            aria_label=title,
            style="width: 100%",
        )
    )


def _square(x: int, picture: str | None) -> list[Element]:
    mat = element("rect", x=x, width=VIEW_HEIGHT, height=VIEW_HEIGHT, rx=3, fill="#fff")
    if picture is None:
        return [mat]
    return [mat, element("image", href=picture, x=x, width=VIEW_HEIGHT, height=VIEW_HEIGHT)]


def picture_uri(blobs: BlobStore, listing: Listing, longest_side: int) -> str | None:
    """Return a listing's crop as a data URI of at most so many pixels a side; None where it cannot
    be read.
    """
    if listing.image_sha256 is None:
        return None
    try:
        return data_uri(thumbnail_jpeg(blobs, listing.image_sha256, listing.box, longest_side))
    except (ImageError, PipelineError):
        return None


def _points(tables: CategoryTables, blobs: BlobStore, first: Listing, second: Listing) -> PairView:
    one, other = _features(tables, blobs, first), _features(tables, blobs, second)
    if one is None or other is None or first.box is None or second.box is None:
        return PairView((), 0)
    sizes = [(box[2] - box[0], box[3] - box[1]) for box in (first.box, second.box)]
    return pair_evidence(one, other, sizes[0], sizes[1], VerificationSettings())


def _features(tables: CategoryTables, blobs: BlobStore, listing: Listing) -> LocalFeatures | None:
    assert tables.local_features is not None
    features = tables.local_features[tables.local_features["crop_sha256"] == listing.keeper]
    try:
        return None if features.empty else load_features(blobs, str(features["features"].iloc[0]))
    except PipelineError:
        return None
