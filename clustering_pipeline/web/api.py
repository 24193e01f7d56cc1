"""The JSON API: what the pages can do, for programs. Its description is at /api/openapi.json."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Path, Query, UploadFile

from clustering_pipeline.core.corrections import Correction
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.outputs.search import Mode
from clustering_pipeline.review import Signature, actions
from clustering_pipeline.web.category_cache import Category, Library
from clustering_pipeline.web.schemas import (
    ActionIn,
    CategoryOut,
    ClusterDetail,
    ClusterPage,
    CorrectionOut,
    FoundOut,
    MergeIn,
    MoveIn,
    NameIn,
    PairIn,
    Problem,
    Recorded,
    SplitIn,
    cluster_detail,
    cluster_out,
    correction_out,
    found_out,
)
from clustering_pipeline.web.search_service import MOST_HITS, Finder, Found
from clustering_pipeline.web.security import ServeOptions

Slug = Annotated[
    str, Path(description="The category's slug, as /api/categories gives it.", max_length=200)
]
Count = Annotated[int, Path(ge=-(2**62), le=2**62)]
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        400: "The request cannot be carried out as it is.",
        401: "The token is missing or wrong.",
        403: "Another site sent the request.",
        404: "There is no such category, cluster, listing or correction.",
        409: "The listings or clusters are others than those of the revision.",
        413: "The upload is too large.",
        421: "The server is not known by that host name.",
        503: "A part of the installation is missing or damaged.",
    }.items()
}


def api_router(library: Library, finder: Finder, options: ServeOptions) -> APIRouter:
    """Return the routes below /api."""
    router = APIRouter(prefix="/api", responses=_PROBLEMS)
    _add_reading(router, library)
    _add_corrections(router, library, options)
    _add_search(router, library, finder)
    return router


def _add_reading(router: APIRouter, library: Library) -> None:
    @router.get("/categories", tags=["clusters"])
    def categories() -> list[CategoryOut]:
        """Every category that has clusters."""
        return [_category_out(library, library.category(slug)) for slug in library.slugs()]

    @router.get("/categories/{slug}/clusters", tags=["clusters"])
    def clusters(
        slug: Slug,
        offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> ClusterPage:
        """The clusters of a category, the most doubtful first."""
        category = library.category(slug)
        shown = category.clusters[offset : offset + limit]
        reviewed = library.progress.looked_at(slug, shown)
        return ClusterPage(
            revision=category.revision,
            total=len(category.clusters),
            clusters=[
                cluster_out(one, one.cluster_id in reviewed, category.confirmed) for one in shown
            ],
        )

    @router.get("/categories/{slug}/clusters/{number}", tags=["clusters"])
    def cluster(slug: Slug, number: Count) -> ClusterDetail:
        """One cluster with its listings, its weakest link and the clusters that it may belong
        to.
        """
        category = library.category(slug)
        one = category.cluster(number)
        is_reviewed = bool(library.progress.looked_at(slug, [one]))
        return cluster_detail(one, category.revision, is_reviewed, category.confirmed)


def _add_corrections(router: APIRouter, library: Library, options: ServeOptions) -> None:
    @router.get("/categories/{slug}/corrections", tags=["corrections"])
    def corrections(slug: Slug) -> list[CorrectionOut]:
        """The corrections in force."""
        waiting = library.pending(library.category(slug))
        return [
            correction_out(recorded, recorded.number in waiting)
            for recorded in library.corrections.in_force(slug)
        ]

    @router.post("/categories/{slug}/corrections", tags=["corrections"], status_code=201)
    def correct(slug: Slug, action: ActionIn) -> Recorded:
        """Say that listings are the same or different, name, merge or split clusters, or move
        listings.

        Listings and clusters are spoken of by their numbers, which may be those of others after a
        run. With the `revision` of the answer in which they were read, the request is refused (409)
        when they are.
        """
        category = library.category(slug)
        category.check_revision(action.revision, is_grouping_meant=not isinstance(action, PairIn))
        corrections = _corrections(category, action, Signature(options.author, slug))
        return Recorded(corrections=library.corrections.add(corrections))

    @router.delete("/categories/{slug}/corrections/{number}", tags=["corrections"])
    def withdraw(slug: Slug, number: Count) -> Recorded:
        """Withdraw a correction."""
        library.category(slug)
        return Recorded(corrections=[library.corrections.undo(number, author=options.author)])


def _add_search(router: APIRouter, library: Library, finder: Finder) -> None:
    @router.post("/categories/{slug}/search", tags=["search"])
    def search(
        slug: Slug,
        picture: Annotated[
            UploadFile | None,
            File(description="The picture: JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF."),
        ] = None,
        words: Annotated[
            str,
            Form(
                max_length=4000,
                description="A picture URL or a listing id, when no picture is sent.",
            ),
        ] = "",
        mode: Annotated[
            Mode,
            Form(
                description=(
                    "exact: over all; class: within the detected class; cluster: nearest one."
                )
            ),
        ] = "exact",
        top: Annotated[int, Form(ge=1, le=MOST_HITS)] = 10,
        region: Annotated[
            int, Form(ge=0, le=100, description="Which of the detected regions to look for.")
        ] = 0,
        box: Annotated[
            str | None,
            Form(
                pattern=r"^\d{1,6},\d{1,6},\d{1,6},\d{1,6}$",
                description="x0,y0,x1,y1: a region of your own.",
            ),
        ] = None,
    ) -> FoundOut:
        """Find the listings that show what a picture shows."""
        query = finder.query_of(slug, picture.file.read() if picture else None, words)
        edges = None if box is None else tuple(int(edge) for edge in box.split(","))
        found = finder.find(slug, query, mode, top, region, edges)  # type: ignore[arg-type]
        return found_out(found, _revision_of(library.category(slug), found))


def _revision_of(category: Category, found: Found) -> str:
    """Return the category's revision, or one that it never has when an index of another run was
    searched.
    """
    for hit in (one.hit for one in found.hits):
        listing = category.listings.get(hit.listing)
        if listing is None or (listing.product_base_id, listing.cluster_id) != (
            hit.product_base_id,
            hit.cluster_id,
        ):
            return "of an index that is older or newer than the clusters"
    return category.revision


def _category_out(library: Library, category: Category) -> CategoryOut:
    clusters = [cluster for cluster in category.clusters if cluster.size > 1]
    return CategoryOut(
        slug=category.slug,
        revision=category.revision,
        display_name=category.display_name,
        listings=len(category.listings),
        clusters=len(clusters),
        looked_at=len(library.progress.looked_at(category.slug, clusters)),
        pending_corrections=len(library.pending(category)),
        has_search=library.has_search(category.slug),
    )


def _corrections(
    category: Category, action: PairIn | NameIn | MergeIn | SplitIn | MoveIn, by: Signature
) -> Sequence[Correction]:
    if isinstance(action, PairIn):
        state = actions.same if action.kind == "same" else actions.different
        return state(category.listing(action.listing_a), category.listing(action.listing_b), by)
    cluster = category.cluster(action.cluster_id)
    if isinstance(action, NameIn):
        return actions.name(cluster, action.name.strip(), by)
    if isinstance(action, MergeIn):
        return actions.merge(cluster, category.cluster(action.target), by)
    chosen = [category.listing(number) for number in action.listings]
    if any(listing.cluster_id != cluster.cluster_id for listing in chosen):
        raise InputError(
            f"Not all of these listings are in cluster {cluster.cluster_id}. Give listings of that "
            f"cluster."
        )
    if isinstance(action, SplitIn):
        return actions.split(cluster, chosen, by, together=action.together)
    return actions.move(cluster, chosen, category.cluster(action.target), by)
