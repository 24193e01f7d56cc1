"""The pages on which a person looks at clusters and corrects them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from clustering_pipeline.core.corrections import Correction
from clustering_pipeline.core.errors import InputError, PipelineError
from clustering_pipeline.outputs.prices import money, price_strip
from clustering_pipeline.outputs.report import (
    Answers,
    AskedPair,
    Cluster,
    Listing,
    PairView,
    pair_evidence,
)
from clustering_pipeline.review import Signature, actions
from clustering_pipeline.settings import VerificationSettings
from clustering_pipeline.stages.features import load_features
from clustering_pipeline.storage import BlobStore
from clustering_pipeline.web.category_cache import Category, Library, UnknownError
from clustering_pipeline.web.rendering import (
    NumberedForm,
    PageNumber,
    Pages,
    check_seen,
    page_of,
    statement_numbers,
)

PAGE_SIZE = 24
NEIGHBOURS_SHOWN = 4
Chosen = Annotated[list[int], Form()]
# A cluster by its number or what it is called.
Target = Annotated[str, Form(max_length=400)]
# Names that a field suggests.
MOST_NAMES = 400


def review_router(library: Library, pages: Pages) -> APIRouter:
    """Return the routes of the review pages."""
    router = APIRouter(include_in_schema=False)
    _add_views(router, library, pages)
    _add_statements(router, library, pages)
    return router


def _add_views(router: APIRouter, library: Library, pages: Pages) -> None:
    @router.get("/c/{slug}/review")
    def clusters(
        request: Request,
        slug: str,
        show: str = "all",
        page: PageNumber = 1,
    ) -> HTMLResponse:
        category = library.category(slug)
        reviewed = library.progress.looked_at(slug, category.clusters)
        if show == "titles":
            return pages.render(
                request,
                "same_titles.html",
                category=category,
                **page_of(category.same_titles, page, PAGE_SIZE),
            )
        return pages.render(
            request,
            "clusters.html",
            category=category,
            seen=reviewed,
            show=show,
            **page_of(_filtered(category, show, reviewed), page, PAGE_SIZE),
            pending=len(library.pending(category)),
            total=len(reviewable(category)),
        )

    @router.get("/c/{slug}/review/{number}")
    def cluster(request: Request, slug: str, number: int, done: str = "") -> HTMLResponse:
        category = library.category(slug)
        return pages.render(
            request,
            "cluster.html",
            done=statement_numbers(done),
            **_cluster_values(library, category, number),
        )


def _add_statements(router: APIRouter, library: Library, pages: Pages) -> None:
    def record(
        form: NumberedForm, make: Callable[[Category, Cluster, Signature], Sequence[Correction]]
    ) -> Response:
        pages.check_form(form.secret)
        category = library.category(form.slug)
        cluster = category.cluster(form.number)
        author = pages.author(form.request)
        try:
            check_seen(form.secret, category.cluster_stamp(cluster))
            numbers = library.corrections.add(make(category, cluster, Signature(author, form.slug)))
        except (InputError, UnknownError) as error:
            # What was typed is answered where it was typed.
            return pages.render(
                form.request,
                "cluster.html",
                404 if isinstance(error, UnknownError) else 400,
                problem=error,
                done=[],
                **_cluster_values(library, category, form.number),
            )
        library.progress.mark(form.slug, cluster, author=author)
        return _back_to(form.slug, form.number, numbers)

    @router.post("/c/{slug}/review/{number}/pair")
    def pair(
        form: NumberedForm,
        a: Annotated[int, Form()],
        b: Annotated[int, Form()],
        kind: Annotated[Literal["same", "different"], Form()],
        other: Annotated[int | None, Form()] = None,
    ) -> Response:
        state = actions.same if kind == "same" else actions.different
        return record(
            form,
            lambda category, _, by: state(
                _member(category, a, form.number),
                _member(category, b, form.number if other is None else other),
                by,
            ),
        )

    @router.post("/c/{slug}/review/{number}/split")
    def split(
        form: NumberedForm,
        how: Annotated[Literal["together", "each"], Form()] = "together",
        listing: Chosen = [],  # noqa: B006
    ) -> Response:
        return record(
            form,
            lambda _, cluster, by: actions.split(
                cluster, _chosen(cluster, listing), by, together=how == "together"
            ),
        )

    @router.post("/c/{slug}/review/{number}/move")
    def move(
        form: NumberedForm,
        target: Target,
        listing: Chosen = [],  # noqa: B006
    ) -> Response:
        return record(
            form,
            lambda category, cluster, by: actions.move(
                cluster, _chosen(cluster, listing), category.cluster_named(target), by
            ),
        )

    @router.post("/c/{slug}/review/{number}/merge")
    def merge(form: NumberedForm, target: Target) -> Response:
        return record(
            form,
            lambda category, cluster, by: actions.merge(
                cluster, category.cluster_named(target), by
            ),
        )

    @router.post("/c/{slug}/review/{number}/name")
    def name(
        form: NumberedForm,
        text: Annotated[str, Form(max_length=300)],
    ) -> Response:
        return record(
            form,
            lambda _, cluster, by: actions.name(cluster, text.strip(), by),
        )

    @router.post("/c/{slug}/review/{number}/looked")
    def looked(
        form: NumberedForm,
        following: Annotated[int | None, Form()] = None,
    ) -> Response:
        pages.check_form(form.secret)
        category = library.category(form.slug)
        cluster = category.cluster(form.number)
        check_seen(form.secret, category.cluster_stamp(cluster))
        library.progress.mark(form.slug, cluster, author=pages.author(form.request))
        return _back_to(form.slug, form.number if following is None else following, [])


def reviewable(category: Category) -> list[Cluster]:
    """Return the clusters that hold more than one listing, the most doubtful first."""
    return [cluster for cluster in category.clusters if cluster.size > 1]


def _filtered(category: Category, show: str, reviewed: set[int]) -> list[Cluster]:
    clusters = reviewable(category)
    if show == "open":
        return [cluster for cluster in clusters if cluster.cluster_id not in reviewed]
    if show == "prices":
        far = {number for number, product in category.prices.items() if product.far}
        return [cluster for cluster in clusters if cluster.cluster_id in far]
    if show == "doubtful":
        return [cluster for cluster in clusters if cluster.doubt >= 0.15]
    return clusters


def _cluster_values(library: Library, category: Category, number: int) -> dict[str, Any]:
    cluster = category.cluster(number)
    product = category.prices.get(number)
    order = [other.cluster_id for other in reviewable(category)]
    place = order.index(number) if number in order else 0
    answers = Answers(
        [recorded.statement for recorded in library.corrections.in_force(category.slug)],
        category.listings.values(),
    )
    # What people said since the last run counts too.
    open_links = [link for link in cluster.links if not answers.settle(link.first, link.second)]
    suggested = [
        (category.by_number[other], asked)
        for other, asked in cluster.neighbours
        if other in category.by_number
        and not answers.settle_any(cluster.listings, category.by_number[other].listings)
    ]
    return {
        "category": category,
        "cluster": cluster,
        "stamp": category.cluster_stamp(cluster),
        "place": place,
        "total": len(order),
        "previous": order[place - 1] if place > 0 else None,
        "following": order[place + 1] if place + 1 < len(order) else None,
        "weakest": draw_pair(category, library.blobs, open_links[0]) if open_links else None,
        "same_titles": [one for one in category.same_titles if number in one.clusters],
        "names": [other for other in reviewable(category) if other.name][:MOST_NAMES],
        "one_picture": len(cluster.pictures) == 1,
        "pictures": least_sure_first(category, cluster),
        "nearer": {
            listing.listing: leaning
            for listing in cluster.pictures
            if (leaning := category.queue.leanings.get(listing.listing)) is not None
            and leaning.cluster in category.by_number
            and answers.said(listing, leaning.toward) is None
        },
        "suggestions": [
            (other, draw_pair(category, library.blobs, asked))
            for other, asked in suggested[:NEIGHBOURS_SHOWN]
        ],
        "pending": len(library.pending(category)),
        "applied": _applied(library, category.slug),
        "product": product,
        "strip": price_strip(product) if product else None,
        "offers": {offer.listing: offer for offer in product.offers} if product else {},
        "money": money,
        "is_seen": number in library.progress.looked_at(category.slug, [cluster]),
    }


def least_sure_first(category: Category, cluster: Cluster) -> list[Listing]:
    """Return one listing per picture of a cluster, those that people confirmed last."""

    def certainty(listing: Listing) -> tuple[bool, float, int]:
        confirmed = listing.listing in category.confirmed
        return confirmed, listing.confidence or 0.0, listing.listing

    return sorted(cluster.pictures, key=certainty)


def _applied(library: Library, slug: str) -> str | None:
    """Return the name of the latest run of a category where it applied what people said."""
    latest = library.runs.of(slug)
    is_applied = latest is not None and latest.asked.kind == "apply" and latest.state == "done"
    return latest.name if latest is not None and is_applied else None


def _member(category: Category, listing: int, number: int) -> Listing:
    """Return a listing of cluster `number`; raises InputError where it is in another one."""
    member = category.listing(listing)
    if member.cluster_id != number:
        raise InputError(
            f"{member.product_base_id} is not in cluster {number}. The clusters changed since the "
            f"page was opened, and nothing was recorded: go back and reload it."
        )
    return member


def _chosen(cluster: Cluster, numbers: Sequence[int]) -> list[Listing]:
    """Return the chosen listings with those that share a picture with them."""
    keepers = {listing.keeper for listing in cluster.listings if listing.listing in set(numbers)}
    return [listing for listing in cluster.listings if listing.keeper in keepers]


def _back_to(slug: str, number: int, numbers: Sequence[int]) -> Response:
    done = "?done=" + ",".join(map(str, numbers)) if numbers else ""
    return RedirectResponse(f"/c/{slug}/review/{number}{done}", 303)


@dataclass(frozen=True)
class Drawn:
    """Two listings that a match joins, and the points of their crops that agree."""

    asked: AskedPair
    evidence: PairView


def draw_pair(category: Category, blobs: BlobStore, asked: AskedPair) -> Drawn:
    """Return a pair with the points of print that agree, none where they are not held."""
    features, sizes = category.local_features, category.crop_sizes
    first, second = asked.first.keeper or "", asked.second.keeper or ""
    try:
        evidence = pair_evidence(
            load_features(blobs, features[first]),
            load_features(blobs, features[second]),
            sizes[first],
            sizes[second],
            VerificationSettings(),
        )
    except (KeyError, PipelineError):
        # Without stored features there are no points to draw; the numbers of the match still stand.
        evidence = PairView((), 0)
    return Drawn(asked, evidence)
