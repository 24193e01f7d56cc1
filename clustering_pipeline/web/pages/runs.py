"""The runs: how far one is, what came of it, and what Apply changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.review import Signature, actions
from clustering_pipeline.web.background import (
    BackgroundRun,
    BackgroundRuns,
    ClusterChange,
    RunningAlreadyError,
)
from clustering_pipeline.web.category_cache import Category, Library, UnknownError
from clustering_pipeline.web.rendering import Pages, Secret, statement_numbers

REASONS_TOLD = 3
LONGEST_NAME = 300
STATUSES = ("clustered", "no_match", "rejected", "download_failed", "invalid_row")


def run_router(library: Library, pages: Pages, runs: BackgroundRuns) -> APIRouter:
    """Return the routes of runs."""
    router = APIRouter(include_in_schema=False)

    @router.get("/runs/{name}")
    def run(request: Request, name: str, done: str = "") -> HTMLResponse:
        background_run, numbers = _run_named(runs, name), statement_numbers(done)
        return pages.render(
            request,
            "run.html",
            run=background_run,
            done=numbers,
            **_came_of(library, background_run),
        )

    @router.post("/runs/{name}/names")
    async def names(request: Request, name: str) -> Response:
        """Record the names of clusters that a run split, of those that were given one."""
        sent = {key: str(value) for key, value in (await request.form()).items()}
        pages.check_form(sent.get("secret", ""))
        numbers = await to_thread.run_sync(
            _record_names, library, _run_named(runs, name), sent, pages.author(request)
        )
        return RedirectResponse(f"/runs/{name}?done={','.join(map(str, numbers))}", 303)

    @router.get("/runs/{name}/standing")
    def standing(request: Request, name: str) -> HTMLResponse:
        """How far a run is, for the script of its page."""
        return pages.render(request, "run_standing.html", run=_run_named(runs, name))

    @router.post("/runs/{name}/cancel")
    def cancel(name: str, secret: Secret) -> Response:
        pages.check_form(secret)
        runs.cancel(_run_named(runs, name).name)
        return RedirectResponse(f"/runs/{name}", 303)

    @router.post("/runs/{name}/again")
    def again(request: Request, name: str, secret: Secret) -> Response:
        pages.check_form(secret)
        asked = _run_named(runs, name).asked
        return _start(request, asked.category, asked.display_name)

    @router.post("/c/{slug}/apply")
    def apply(request: Request, slug: str, secret: Secret) -> Response:
        pages.check_form(secret)
        return _start(request, slug, library.category(slug).display_name)

    def _start(request: Request, slug: str, display_name: str) -> Response:
        try:
            started = runs.start(slug, display_name, "apply", pages.author(request)).name
        except RunningAlreadyError as error:
            if error.run is None:
                raise
            started = error.run
        return RedirectResponse(f"/runs/{started}", 303)

    return router


def _record_names(
    library: Library, run: BackgroundRun, sent: Mapping[str, str], author: str
) -> list[int]:
    """Record the names among the fields of a form, and return the numbers of the statements."""
    category = library.category(run.asked.category)
    by, split = Signature(author, category.slug), run.outcome.changes if run.outcome else ()
    shown = {number for change in split for number in (change.number, change.other)}
    said = [
        statement
        for number in sorted(number for number in shown if number is not None)
        if (text := " ".join(sent.get(f"name-{number}", "").split())[:LONGEST_NAME])
        for statement in actions.name(category.cluster(number), text, by)
    ]
    return library.corrections.add(said)


def _run_named(runs: BackgroundRuns, name: str) -> BackgroundRun:
    try:
        return runs.get(name)
    except InputError as error:
        raise UnknownError(str(error)) from error


def _came_of(library: Library, run: BackgroundRun) -> dict[str, Any]:
    """Return what the page of a finished run shows of its category."""
    slug = run.asked.category
    if not run.is_over or slug not in library.slugs():
        return {"category": None}
    category = library.category(slug)
    listings = category.listings.values()
    counts = {name: sum(one.status == name for one in listings) for name in STATUSES}
    return {
        "category": category,
        "counts": {name: count for name, count in counts.items() if count},
        "reasons": _commonest_reasons(category),
        "clusters": sum(cluster.size > 1 for cluster in category.clusters),
        "changes": _still_there(category, run.outcome.changes if run.outcome else ()),
        "has_workbook": library.workbook_path(slug) is not None,
        "pending": len(library.pending(category)),
    }


def _commonest_reasons(category: Category) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for listing in category.listings.values():
        if listing.status in ("download_failed", "invalid_row", "rejected"):
            counts[listing.reason] = counts.get(listing.reason, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])[:REASONS_TOLD]


def _still_there(
    category: Category, changes: Sequence[ClusterChange]
) -> list[tuple[ClusterChange, list[Any]]]:
    """Return changes with the clusters that they lead to, as far as these are there now."""
    return [
        (
            change,
            [
                category.by_number[number]
                for number in (change.number, change.other)
                if number is not None and number in category.by_number
            ],
        )
        for change in changes
    ]
