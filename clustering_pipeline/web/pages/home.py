"""The start page: a new workbook, the runs under way, the categories; the columns of what is
dropped there, shown and corrected before it is grouped; and who one is.
"""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.text import category_slug
from clustering_pipeline.project import Project
from clustering_pipeline.stages.catalogue import ColumnChoice, SheetPreview
from clustering_pipeline.web.background import BackgroundRun, BackgroundRuns, RunningAlreadyError
from clustering_pipeline.web.category_cache import Library
from clustering_pipeline.web.drafts import SUFFIXES, Draft, Drafts
from clustering_pipeline.web.pages.review import reviewable
from clustering_pipeline.web.rendering import AUTHOR_COOKIE, LONGEST_NAME, Pages, Secret
from clustering_pipeline.web.security import WORKBOOK_PATH, BusyError

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


ROWS_SHOWN, HEADER_ROWS = 6, 10


class Chosen(BaseModel):
    """What the form of columns holds: the sheet, "" for all, the columns, the category's name, and
    the sheet whose columns were shown.
    """

    sheet: str | None = None
    header_row: int | None = Field(None, ge=0, le=10_000)
    identifier: str = Field("", max_length=40_000)
    url: str = Field("", max_length=40_000)
    title: str = Field("", max_length=40_000)
    called: str | None = Field(None, max_length=400)
    shown: str | None = None

    @property
    def choice(self) -> ColumnChoice:
        """The columns."""
        return ColumnChoice(self.header_row or 0, self.identifier, self.url, self.title)


class Sent(Chosen):
    """The same as it is sent to begin."""

    secret: str


def workbook_router(project: Project, home: Home) -> APIRouter:
    """Return the routes of new workbooks."""
    router, drafts = APIRouter(include_in_schema=False), Drafts(project)
    _add_arrival(router, drafts, home)
    _add_columns(router, project, drafts, home)
    return router


def _add_arrival(router: APIRouter, drafts: Drafts, home: Home) -> None:
    @router.get(WORKBOOK_PATH)
    def new() -> Response:
        return RedirectResponse("/", 303)

    @router.post(WORKBOOK_PATH)
    def arrive(
        request: Request,
        secret: Secret,
        file: Annotated[UploadFile | None, File()] = None,
        links: Annotated[str, Form()] = "",
    ) -> Response:
        home.pages.check_form(secret)
        try:
            if file is not None and file.filename:
                draft = drafts.take(file.filename, file.file)
            elif links.strip():
                draft = drafts.take_text(links)
            else:
                raise InputError("Choose a workbook, or paste the addresses of pictures.")
        except InputError as error:
            return home.render(request, 400, problem=error, links=links)
        except BusyError as error:
            return home.render(request, 503, problem=error, links=links)
        return RedirectResponse(f"{WORKBOOK_PATH}/{draft.name}", 303)


def _add_columns(router: APIRouter, project: Project, drafts: Drafts, home: Home) -> None:
    def show(
        request: Request,
        draft: Draft,
        sheet: str,
        choice: ColumnChoice,
        status: int = 200,
        **values: Any,
    ) -> HTMLResponse:
        names, sheet_shown = {one.display_name for one in project.sources.all()}, draft.sheet(sheet)
        return home.pages.render(
            request,
            "columns.html",
            status,
            draft=draft,
            sheet=sheet,
            seen=sheet_shown,
            choice=choice,
            headers=sheet_shown.headers(choice.header_row),
            header_rows=range(1, min(HEADER_ROWS, len(sheet_shown.head)) + 1),
            shown=sheet_shown.head[choice.header_row : choice.header_row + ROWS_SHOWN],
            roles=_roles(sheet_shown, choice),
            known=sorted(names),
            **{"called": draft.display_name, "busy": None, **values},
        )

    @router.get(WORKBOOK_PATH + "/{name}")
    def columns(request: Request, name: str, asked: Annotated[Chosen, Query()]) -> HTMLResponse:
        draft, sheet = drafts.get(name), asked.sheet
        if sheet is None:
            sheet = "" if len(draft.usual_sheets) > 1 else draft.sheets[0].name
        # Of another sheet than was shown, the columns are guessed anew.
        is_same = asked.header_row is not None and sheet == asked.shown
        choice = asked.choice if is_same else draft.sheet(sheet).guess
        values: dict[str, Any] = {} if asked.called is None else {"called": asked.called}
        return show(request, draft, sheet, choice, **values)

    @router.post(WORKBOOK_PATH + "/{name}")
    def begin(request: Request, name: str, asked: Annotated[Sent, Form()]) -> Response:
        home.pages.check_form(asked.secret)
        draft, sheet, called = drafts.get(name), asked.sheet or "", asked.called or ""
        try:
            run = _begin(project, drafts, home, draft, (sheet, asked.choice, called), request)
        except (InputError, BusyError) as error:
            status = 503 if isinstance(error, BusyError) else 400
            values: dict[str, Any] = {"problem": error, "called": called}
            if isinstance(error, RunningAlreadyError):
                values["busy"] = error.run
            return show(request, draft, sheet, asked.choice, status, **values)
        return RedirectResponse(f"/runs/{run}", 303)


def _begin(
    project: Project,
    drafts: Drafts,
    home: Home,
    draft: Draft,
    asked: tuple[str, ColumnChoice, str],
    request: Request,
) -> str:
    """Make a draft the workbook of its category and start its run; returns the run's name."""
    sheet, choice, called = asked
    if not choice.identifier or not choice.url:
        raise InputError("Choose the column of the ids and that of the picture links.")
    if choice.identifier == choice.url:
        raise InputError("The ids and the picture links cannot be the same column. Choose two.")
    drafts.check(draft, sheet, choice)
    slug = category_slug(called)
    project.sources.check_name(called)
    # Before the record changes: the run under way is of the workbook that it has now.
    home.runs.refuse_busy(slug, called)
    source = drafts.record(draft, called, sheet, choice)
    author = home.pages.author(request)
    return home.runs.start(source.category, source.display_name, "run", author).name


def _roles(sheet: SheetPreview, choice: ColumnChoice) -> dict[int, str]:
    """Return what each chosen column (from 0) of the shown rows is for."""
    chosen = {choice.identifier: "identifier", choice.url: "url", choice.title: "title"}
    chosen.pop("", None)
    return {
        number: chosen[name] for number, name in sheet.names(choice.header_row) if name in chosen
    }
