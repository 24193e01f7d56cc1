"""The JSON that the API takes and gives."""

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from clustering_pipeline.core.corrections import RecordedCorrection, as_row
from clustering_pipeline.outputs.report import Cluster, Link, Listing
from clustering_pipeline.outputs.search import VerifiedHit
from clustering_pipeline.web.search_service import Found

Name = Annotated[str, Field(min_length=1, max_length=300)]
Identifier = Annotated[str, Field(min_length=1, max_length=500)]


Revision = Annotated[
    str, Field(description="Of the listings and clusters; sent back with what is said of them.")
]


class Problem(BaseModel):
    """Why a request was not answered."""

    error: str


class CategoryOut(BaseModel):
    """A category that has clusters."""

    slug: str
    revision: Revision
    display_name: str
    listings: int
    clusters: int = Field(description="Clusters of two listings or more.")
    looked_at: int
    pending_corrections: int = Field(description="Corrections that the next run will honour.")
    has_search: bool


class ListingOut(BaseModel):
    """A listing and what became of it."""

    listing: int = Field(description="Its number in the catalogue, counted from 0.")
    product_base_id: str
    title: str
    url: str
    status: str
    confidence: float | None = Field(
        description="How likely it belongs to its cluster, as in the workbook; 1 where a person "
        "confirmed it."
    )
    confirmed: bool = Field(False, description="A person said that it belongs to its cluster.")
    is_representative: bool


class LinkOut(BaseModel):
    """The evidence of a match between two listings."""

    probability: float | None
    weight: float
    cosine: float | None
    inliers: int | None
    text_similarity: float | None
    colour_similarity: float | None
    lines_agreeing: int | None
    lines_conflicting: int | None
    number_conflict: str | None
    reasons: str | None = Field(
        None,
        description="Kinds of evidence that decided, the strongest first, each with what it adds "
        "to the log-odds.",
    )


class ClusterOut(BaseModel):
    """A cluster in the order of doubt."""

    cluster_id: int
    name: str
    size: int
    doubt: float = Field(description="From 0 to 1; the most doubtful clusters come first.")
    looked_at: bool
    representative: ListingOut


class ClusterDetail(ClusterOut):
    """A cluster with its listings and evidence."""

    revision: Revision
    listings: list[ListingOut]
    weakest_link: LinkOut | None
    neighbours: list[int] = Field(description="Clusters that a match leads to, the heaviest first.")


class ClusterPage(BaseModel):
    """Some of a category's clusters, the most doubtful first."""

    revision: Revision
    total: int
    clusters: list[ClusterOut]


class _StatedIn(BaseModel):
    revision: str | None = Field(
        None,
        max_length=200,
        description="Of the answer in which the numbers were read: where listings or clusters "
        "changed since, nothing is recorded (409). Without it they are taken as they are now.",
    )


class PairIn(_StatedIn):
    """Two listings show the same product, or different ones."""

    kind: Literal["same", "different"]
    listing_a: int = Field(ge=0, le=2**31)
    listing_b: int = Field(ge=0, le=2**31)


class NameIn(_StatedIn):
    """What people call a cluster."""

    kind: Literal["name"]
    cluster_id: int = Field(ge=0, le=2**62)
    name: Name


class MergeIn(_StatedIn):
    """Two clusters show one product."""

    kind: Literal["merge"]
    cluster_id: int = Field(ge=0, le=2**62)
    target: int = Field(ge=0, le=2**62)


class SplitIn(_StatedIn):
    """Some listings of a cluster show another product."""

    kind: Literal["split"]
    cluster_id: int = Field(ge=0, le=2**62)
    listings: Annotated[list[int], Field(min_length=1, max_length=10_000)]
    together: bool = Field(
        True, description="Whether they are one product; otherwise each picture is its own."
    )


class MoveIn(_StatedIn):
    """Some listings of a cluster belong to another one."""

    kind: Literal["move"]
    cluster_id: int = Field(ge=0, le=2**62)
    listings: Annotated[list[int], Field(min_length=1, max_length=10_000)]
    target: int = Field(ge=0, le=2**62)


ActionIn = Annotated[PairIn | NameIn | MergeIn | SplitIn | MoveIn, Field(discriminator="kind")]


class Recorded(BaseModel):
    """The numbers under which statements were recorded; DELETE withdraws one."""

    corrections: list[int]


class CorrectionOut(BaseModel):
    """A statement in force."""

    number: int
    kind: str
    id_a: str | None
    id_b: str | None
    cluster_id: int | None
    name: str | None
    author: str
    time: str
    pending: bool = Field(description="Whether the clusters shown do not honour it yet.")


class RegionOut(BaseModel):
    """A region of the query picture that may show a product; half-open pixels."""

    box: tuple[int, int, int, int]
    label: str | None
    score: float | None
    chosen: bool


class HitOut(BaseModel):
    """A listing that was found."""

    score: float = Field(description="Cosine of the two crops.")
    verified: bool = Field(
        description="More likely the same product than another one, by the print that both have."
    )
    probability: float = Field(
        description="Of the same product, by print and silhouette alone, from 0 to 1."
    )
    matched_points: int
    listing: int
    product_base_id: str
    title: str
    url: str
    cluster_id: int | None
    cluster_size: int
    status: str


class FoundOut(BaseModel):
    """The answer to a search, the nearest listings first."""

    revision: Revision
    width: int
    height: int
    regions: list[RegionOut]
    seconds: float
    hits: list[HitOut]


def correction_out(recorded: RecordedCorrection, pending: bool) -> CorrectionOut:
    """Return a correction as JSON."""
    row = {"number": recorded.number, "pending": pending, **as_row(recorded.correction)}
    return CorrectionOut.model_validate({name: row[name] for name in CorrectionOut.model_fields})


def listing_out(listing: Listing, confirmed: Collection[int]) -> ListingOut:
    """Return a listing as JSON."""
    shown = ListingOut.model_validate(listing, from_attributes=True)
    return shown.model_copy(update={"confirmed": listing.listing in confirmed})


def cluster_out(cluster: Cluster, looked_at: bool, confirmed: Collection[int]) -> ClusterOut:
    """Return a cluster as JSON; `confirmed`: the listings that people have confirmed."""
    return ClusterOut(
        cluster_id=cluster.cluster_id,
        name=cluster.name,
        size=cluster.size,
        doubt=round(cluster.doubt, 6),
        looked_at=looked_at,
        representative=listing_out(cluster.representative, confirmed),
    )


def cluster_detail(
    cluster: Cluster, revision: str, looked_at: bool, confirmed: Collection[int]
) -> ClusterDetail:
    """Return a cluster with its listings as JSON."""
    return ClusterDetail(
        **cluster_out(cluster, looked_at, confirmed).model_dump(),
        revision=revision,
        listings=[listing_out(listing, confirmed) for listing in cluster.listings],
        weakest_link=_link_out(cluster.weakest.link if cluster.weakest else None),
        neighbours=[number for number, _ in cluster.neighbours],
    )


def found_out(search: Found, revision: str) -> FoundOut:
    """Return the answer to a search as JSON."""
    picture = search.picture
    regions = [
        RegionOut(
            box=region.box, label=region.label, score=region.score, chosen=number == picture.chosen
        )
        for number, region in enumerate(picture.regions)
    ]
    hits = [hit_out(hit) for hit in search.hits]
    return FoundOut(
        revision=revision,
        width=picture.width,
        height=picture.height,
        regions=regions,
        seconds=round(search.seconds, 4),
        hits=hits,
    )


def hit_out(result: VerifiedHit) -> HitOut:
    """Return a hit as JSON."""
    values = {
        name: getattr(result.hit, name) for name in HitOut.model_fields if hasattr(result.hit, name)
    }
    judged = result.judgement
    return HitOut(
        **values,
        verified=result.verified,
        probability=round(judged.probability, 4),
        matched_points=judged.matched_points,
    )


def _link_out(link: Link | None) -> LinkOut | None:
    return None if link is None else LinkOut.model_validate(link, from_attributes=True)
