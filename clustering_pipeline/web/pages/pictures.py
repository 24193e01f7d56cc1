"""Pictures of listings as small JPEGs, and the page of those that were rejected."""

from functools import lru_cache
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from clustering_pipeline.core.corrections import Keep
from clustering_pipeline.core.engine import available_cores
from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.imaging import ImageError
from clustering_pipeline.outputs.report import Box, thumbnail_jpeg
from clustering_pipeline.review import Signature, actions
from clustering_pipeline.web.category_cache import Category, Library, UnknownError
from clustering_pipeline.web.rendering import (
    NumberedForm,
    PageNumber,
    Pages,
    check_seen,
    page_of,
)
from clustering_pipeline.web.security import Turns

PAGE_SIZE = 60
# What stages wrote of the pictures: duplicates and rejects in pairs, and what was cut out.
FURTHER_PAGES = ("left-out", "crops")


def rejected_router(library: Library, pages: Pages) -> APIRouter:
    """Return the routes of rejected pictures."""
    router = APIRouter(include_in_schema=False)

    @router.get("/c/{slug}/rejected")
    def rejected(request: Request, slug: str, page: PageNumber = 1) -> HTMLResponse:
        category = library.category(slug)
        listings = [
            listing for listing in category.listings.values() if listing.status == "rejected"
        ]
        return pages.render(
            request,
            "rejected.html",
            category=category,
            total=len(listings),
            **page_of(listings, page, PAGE_SIZE),
            kept=_keep_statements(library, category),
            further=[name for name in FURTHER_PAGES if library.has_page(slug, name)],
        )

    @router.post("/c/{slug}/rejected/{number}")
    def keep(
        form: NumberedForm,
        page: PageNumber = 1,
    ) -> Response:
        pages.check_form(form.secret)
        category = library.category(form.slug)
        check_seen(form.secret, category.stamp)
        listing = category.listing(form.number)
        author = Signature(pages.author(form.request), form.slug)
        library.corrections.add_new(actions.keep(listing, author))
        return RedirectResponse(f"/c/{form.slug}/rejected?page={page}", 303)

    @router.post("/c/{slug}/rejected/{number}/undo")
    def undo(
        form: NumberedForm,
        page: PageNumber = 1,
    ) -> Response:
        pages.check_form(form.secret)
        category = library.category(form.slug)
        check_seen(form.secret, category.stamp)
        stated = _keep_statements(library, category).get(category.listing(form.number).listing)
        if stated is not None:
            library.corrections.undo(stated, author=pages.author(form.request))
        return RedirectResponse(f"/c/{form.slug}/rejected?page={page}", 303)

    return router


def _keep_statements(library: Library, category: Category) -> dict[int, int]:
    """Return the statement by which each listing that people keep is kept, by the listing's
    number.
    """
    statements = {}
    for recorded in library.corrections.in_force(category.slug):
        if isinstance(recorded.statement, Keep):
            listing = category.listing_named(recorded.statement.listing)
            if listing is not None:
                statements[listing.listing] = recorded.number
    return statements


SIZES = {"small": 200, "large": 640}
KEPT = 4000
# Pictures that wait to be decoded, and seconds.
MOST_WAITING = 30
LONGEST_WAIT = 60.0


def picture_router(library: Library) -> APIRouter:
    """Return the route of listings' pictures."""
    router = APIRouter(include_in_schema=False)
    turns = Turns(available_cores(), MOST_WAITING, LONGEST_WAIT)

    @lru_cache(maxsize=KEPT)
    def jpeg(image_sha256: str, box: Box | None, longest_side: int) -> bytes:
        with turns.take():
            return thumbnail_jpeg(library.blobs, image_sha256, box, longest_side)

    @router.get("/c/{slug}/pictures/{number}.jpg")
    def picture(
        slug: str,
        number: int,
        size: Annotated[Literal["small", "large"], Query()] = "small",
        whole: bool = False,
    ) -> Response:
        listing = library.category(slug).listing(number)
        if listing.image_sha256 is None:
            raise UnknownError(f"Listing {number} has no picture.")
        try:
            content = jpeg(listing.image_sha256, None if whole else listing.box, SIZES[size])
        except (ImageError, PipelineError) as error:
            raise UnknownError(
                f"The picture of listing {number} cannot be shown: {error}"
            ) from error
        return Response(
            content, media_type="image/jpeg", headers={"cache-control": "private, max-age=300"}
        )

    return router
