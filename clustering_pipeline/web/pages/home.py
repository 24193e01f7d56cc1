"""The start page: a new workbook, the runs under way, the categories; and who one is."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from clustering_pipeline.web.background import BackgroundRun, BackgroundRuns
from clustering_pipeline.web.category_cache import Library
from clustering_pipeline.web.drafts import SUFFIXES
from clustering_pipeline.web.pages.review import reviewable
from clustering_pipeline.web.rendering import AUTHOR_COOKIE, LONGEST_NAME, Pages, Secret

FACES = 4
RUNS_SHOWN = 6


@dataclass(frozen=True)
class Home:
    """What the start page is made of."""

    library: Library
    pages: Pages
    runs: BackgroundRuns

    def render(self, request: Request, status: int = 200, **values: Any) -> HTMLResponse:
        """Return the start page."""
        ready = self.library.slugs()
        latest = list(self.runs.all())
        return self.pages.render(
            request,
            "home.html",
            status,
            rows=[self._overview(slug) for slug in ready],
            runs=[run for run in latest if not run.is_over],
            failed=_unfinished(latest, ready)[:RUNS_SHOWN],
            suffixes=",".join(SUFFIXES),
            most_bytes=self.pages.options.workbook_bytes,
            **{"links": "", "removed": "", **values},
        )

    def _overview(self, slug: str) -> dict[str, Any]:
        library = self.library
        category = library.category(slug)
        clusters = reviewable(category)
        return {
            "category": category,
            "total": len(clusters),
            "seen": len(library.progress.looked_at(slug, clusters)),
            "has_search": library.has_search(slug),
            "has_workbook": library.workbook_path(slug) is not None,
            "pending": len(library.pending(category)),
            "faces": [
                cluster.representative
                for cluster in sorted(clusters, key=lambda item: -item.size)[:FACES]
            ],
        }


def _unfinished(runs: list[BackgroundRun], ready: list[str]) -> list[BackgroundRun]:
    """Return the latest run of each category that has no clusters and of which no run goes on."""
    latest: dict[str, BackgroundRun] = {}
    for run in runs:
        latest.setdefault(run.asked.category, run)
    return [
        run
        for category, run in latest.items()
        if category not in ready and run.state in ("failed", "cancelled")
    ]


def home_router(home: Home) -> APIRouter:
    """Return the routes of the start page and of the visitor's name."""
    router, pages = APIRouter(include_in_schema=False), home.pages

    @router.get("/")
    def start(request: Request, removed: str = "") -> HTMLResponse:
        return home.render(request, removed=removed)

    @router.get("/c/{slug}/remove")
    def ask_to_remove(request: Request, slug: str) -> HTMLResponse:
        return pages.render(request, "remove.html", category=home.library.category(slug))

    @router.post("/c/{slug}/remove")
    def remove(slug: str, secret: Secret) -> Response:
        # Dagster takes long to load, and few pages need it.
        from clustering_pipeline.orchestration import remove_category

        pages.check_form(secret)
        category = home.library.category(slug)
        home.runs.refuse_busy(slug, category.display_name)
        remove_category(home.library.project, slug)
        return RedirectResponse(f"/?removed={quote(category.display_name)}", 303)

    @router.get("/you")
    def you(request: Request, back: str = "/") -> HTMLResponse:
        return pages.render(
            request, "you.html", back=_own_path(back), link=_share_link(request, pages)
        )

    @router.post("/you")
    def named(
        secret: Secret,
        name: Annotated[str, Form(max_length=LONGEST_NAME)],
        back: Annotated[str, Form()] = "/",
    ) -> Response:
        pages.check_form(secret)
        reply = RedirectResponse(_own_path(back), 303)
        reply.set_cookie(
            AUTHOR_COOKIE,
            quote(" ".join(name.split())),
            max_age=31_536_000,
            samesite="strict",
            httponly=True,
        )
        return reply

    return router


def _own_path(address: str) -> str:
    """Return the path of an address when it leads to a page of this server, else that of the start
    page.
    """
    parts = urlsplit(address)
    is_own = not parts.scheme and not parts.netloc and address.startswith("/")
    return address if is_own and "\\" not in address else "/"


def _share_link(request: Request, pages: Pages) -> str | None:
    """Return the address that lets others in, under the name that this browser uses; None where
    nobody else can connect.
    """
    options = pages.options
    if not options.is_shared or options.token is None:
        return None
    return f"{request.url.scheme}://{request.url.netloc}/?token={options.token}"
