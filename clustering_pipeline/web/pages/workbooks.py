"""A workbook that is dropped, or links that are pasted: their columns shown and corrected, then
grouped.
"""

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.text import category_slug
from clustering_pipeline.project import Project
from clustering_pipeline.stages.catalogue import ColumnChoice, SheetPreview
from clustering_pipeline.web.background import RunningAlreadyError
from clustering_pipeline.web.drafts import Draft, Drafts
from clustering_pipeline.web.limits import BusyError
from clustering_pipeline.web.pages.home import Home
from clustering_pipeline.web.rendering import Secret
from clustering_pipeline.web.security import WORKBOOK_PATH

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
