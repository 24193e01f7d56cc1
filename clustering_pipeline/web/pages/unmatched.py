"""Listings that match nothing, one after the other, beside the clusters that each is nearest to."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.review import Question, Signature, actions
from clustering_pipeline.web.category_cache import Category, Library
from clustering_pipeline.web.rendering import Pages, Secret, statement_numbers

NEIGHBOURS_SHOWN = 4


def unmatched_router(library: Library, pages: Pages) -> APIRouter:
    """Return the routes of listings that match nothing."""
    router = APIRouter(include_in_schema=False)

    @router.get("/c/{slug}/unmatched")
    def unmatched(request: Request, slug: str, done: str = "") -> HTMLResponse:
        category = library.category(slug)
        waiting = category.queue.unmatched(library.corrections.in_force(slug))
        return pages.render(
            request,
            "unmatched.html",
            category=category,
            done=statement_numbers(done),
            left=len(waiting),
            places=[(one, _members(category, one)) for one in waiting[0]] if waiting else [],
        )

    @router.post("/c/{slug}/unmatched")
    def place(
        request: Request,
        slug: str,
        secret: Secret,
        listing: Annotated[int, Form()],
        near: Annotated[list[int], Form()],
        kind: Annotated[Literal["none", "unsure"] | int, Form()],
    ) -> Response:
        pages.check_form(secret)
        category = library.category(slug)
        by = Signature(pages.author(request), slug)
        own, others = category.listing(listing), [category.listing(number) for number in near]
        if isinstance(kind, int):
            chosen = next((one for one in others if one.listing == kind), None)
            if chosen is None:
                raise InputError("Choose one of the clusters that are shown.")
            stated = actions.same(own, chosen, by)
        else:
            state = actions.different if kind == "none" else actions.unsure
            stated = [one for other in others for one in state(own, other, by)]
        numbers = library.corrections.add(stated)
        return RedirectResponse(f"/c/{slug}/unmatched?done={','.join(map(str, numbers))}", 303)

    return router


def _members(category: Category, asked: Question) -> list[int]:
    """Return the listings to show of the place of a question: the one that it is near to first."""
    other = asked.second
    cluster = category.by_number.get(-1 if other.cluster_id is None else other.cluster_id)
    further = [] if cluster is None else [one.listing for one in cluster.pictures]
    return list(dict.fromkeys([other.listing, *further]))[:NEIGHBOURS_SHOWN]
