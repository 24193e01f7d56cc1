"""Questions one after the other: do two listings show one product? Which cluster is a listing near
that matches nothing? And what the answers say of the grouping.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from clustering_pipeline.core.corrections import RecordedCorrection
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.outputs.report import Listing, PairView
from clustering_pipeline.review import Question, Signature, actions
from clustering_pipeline.web.category_cache import Category, Library
from clustering_pipeline.web.pages.review import draw_pair
from clustering_pipeline.web.rendering import Pages, Secret, check_seen, statement_numbers

MOST_AHEAD = 8
STATE = {"same": actions.same, "different": actions.different, "unsure": actions.unsure}


def queue_router(library: Library, pages: Pages) -> APIRouter:
    """Return the routes of the queue of pairs."""
    router = APIRouter(include_in_schema=False)
    _add_questions(router, library, pages)
    _add_answers(router, library, pages)
    return router


def _add_questions(router: APIRouter, library: Library, pages: Pages) -> None:
    @router.get("/c/{slug}/queue")
    def queue(request: Request, slug: str, done: str = "") -> HTMLResponse:
        category, author = library.category(slug), pages.author(request)
        return pages.render(
            request,
            "queue.html",
            category=category,
            done=statement_numbers(done),
            question=next(iter(_shown(library, category, author, 1)), None),
        )

    @router.get("/c/{slug}/queue/next")
    def following(
        request: Request, slug: str, count: Annotated[int, Query(ge=1, le=MOST_AHEAD)] = 3
    ) -> Response:
        category = library.category(slug)
        asked = _shown(library, category, pages.author(request), count)
        return JSONResponse(
            [
                {
                    "key": one["key"],
                    "html": pages.text(request, "question.html", category=category, question=one),
                }
                for one in asked
            ]
        )

    @router.get("/c/{slug}/queue/standing")
    def standing(request: Request, slug: str) -> HTMLResponse:
        category = library.category(slug)
        state = category.queue.standing(library.corrections.in_force(slug))
        return pages.render(request, "standing.html", category=category, standing=state)


def _add_answers(router: APIRouter, library: Library, pages: Pages) -> None:
    @router.post("/c/{slug}/queue")
    def answer(
        request: Request,
        slug: str,
        secret: Secret,
        a: Annotated[int, Form()],
        b: Annotated[int, Form()],
        kind: Annotated[Literal["same", "different", "unsure"], Form()],
    ) -> Response:
        pages.check_form(secret)
        category = library.category(slug)
        check_seen(secret, category.stamp)
        by = Signature(pages.author(request), slug)
        said = STATE[kind](category.listing(a), category.listing(b), by)
        return _answered(request, slug, library.corrections.add(said))

    @router.post("/c/{slug}/queue/undo")
    def undo(
        request: Request,
        slug: str,
        secret: Secret,
        numbers: Annotated[str, Form()],
        back: Annotated[Literal["queue", "unmatched"], Form()] = "queue",
    ) -> Response:
        pages.check_form(secret)
        library.category(slug)
        library.corrections.undo_all(statement_numbers(numbers), author=pages.author(request))
        if back != "queue":
            return RedirectResponse(f"/c/{slug}/{back}", 303)
        return _answered(request, slug, [])


def _answered(request: Request, slug: str, numbers: Sequence[int]) -> Response:
    """Return the numbers to a script, and the next question to a browser without one."""
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"numbers": list(numbers)})
    done = "?done=" + ",".join(map(str, numbers)) if numbers else ""
    return RedirectResponse(f"/c/{slug}/queue{done}", 303)


def _shown(library: Library, category: Category, author: str, count: int) -> list[dict[str, Any]]:
    in_force: list[RecordedCorrection] = library.corrections.in_force(category.slug)
    return [
        _question(library, category, one)
        for one in category.queue.questions(in_force, author, count)
    ]


def _question(library: Library, category: Category, asked: Question) -> dict[str, Any]:
    match = asked.match
    return {
        "key": f"{asked.first.listing}-{asked.second.listing}",
        "first": asked.first,
        "second": asked.second,
        "places": [_place(category, one) for one in (asked.first, asked.second)],
        "link": None if match is None else match.link,
        "evidence": PairView((), 0)
        if match is None
        else draw_pair(category, library.blobs, match).evidence,
    }


def _place(category: Category, listing: Listing) -> tuple[int, int] | None:
    """Return the number and the size of a listing's cluster, None where it has none."""
    number = listing.cluster_id
    if number is None or number not in category.by_number:
        return None
    return number, category.by_number[number].size


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
            left=waiting.left,
            places=[(one, _members(category, one)) for one in waiting.places],
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
        check_seen(secret, category.stamp)
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
