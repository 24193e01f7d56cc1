"""The web application: review, search, report and the JSON API of one installation."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Literal

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from clustering_pipeline.core.errors import InputError, PipelineError
from clustering_pipeline.imaging import ImageError
from clustering_pipeline.project import Project
from clustering_pipeline.web.api import api_router
from clustering_pipeline.web.category_cache import ChangedError, Library, UnknownError
from clustering_pipeline.web.pages.home import Home, home_router, workbook_router
from clustering_pipeline.web.pages.map import map_router
from clustering_pipeline.web.pages.pictures import (
    FURTHER_PAGES,
    picture_router,
    rejected_router,
)
from clustering_pipeline.web.pages.prices import price_router
from clustering_pipeline.web.pages.queue import queue_router, unmatched_router
from clustering_pipeline.web.pages.review import review_router
from clustering_pipeline.web.pages.runs import run_router
from clustering_pipeline.web.pages.search import search_router
from clustering_pipeline.web.pages.statements import correction_router
from clustering_pipeline.web.rendering import (
    STATIC_TYPES,
    Pages,
    in_language,
    in_theme,
    language_of,
    static_files,
)
from clustering_pipeline.web.search_service import Finder, Queries
from clustering_pipeline.web.security import BusyError, Gate, ServeOptions

REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts "
    "allow-popups allow-popups-to-escape-sandbox"
)
# More than may wait for a turn of any kind, so that pages that need none are answered meanwhile.
THREADS = 128
_log = logging.getLogger(__name__)


def create_app(project: Project, options: ServeOptions) -> FastAPI:
    """Return the application over the storage of one installation."""
    app = FastAPI(
        title="clustering_pipeline",
        version=version("clustering-pipeline"),
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        description="Clusters of listings that show one product: review, correct and search them.",
        lifespan=_with_threads,
    )
    library, pages = Library(project), Pages(options)
    home = Home(library, pages, library.runs)
    finder = Finder(library, Queries(options.query_pixels))
    app.add_middleware(Gate, options=options)
    app.include_router(api_router(library, finder, options))
    _add_files(app, library)
    _add_framed(app, library, pages)
    _add_description(app, pages)
    for router in (
        home_router(home),
        workbook_router(project, home),
        run_router(library, pages, home.runs),
        picture_router(library),
        search_router(library, pages, finder),
        review_router(library, pages),
        queue_router(library, pages),
        map_router(library, pages),
        unmatched_router(library, pages),
        rejected_router(library, pages),
        price_router(library, pages),
        correction_router(library, pages),
    ):
        app.include_router(router)
    _add_problems(app, pages)
    return app


@asynccontextmanager
async def _with_threads(_app: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = THREADS
    yield


def _add_files(app: FastAPI, library: Library) -> None:
    files = static_files()

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        if name not in files:
            raise UnknownError("There is no such file.")
        return Response(
            files[name],
            media_type=STATIC_TYPES[name],
            headers={"cache-control": "private, max-age=300"},
        )

    @app.get("/c/{slug}/alone/{name}", include_in_schema=False)
    def alone(
        request: Request, slug: str, name: str, theme: Literal["", "light", "dark"] = ""
    ) -> Response:
        """A page that a stage wrote, without ours around it."""
        page = library.page(slug, name)
        if name in FURTHER_PAGES:
            page = in_language(page, language_of(request))
        return HTMLResponse(
            in_theme(page, theme),
            headers={"content-security-policy": REPORT_POLICY, "x-frame-options": "SAMEORIGIN"},
        )


def _add_framed(app: FastAPI, library: Library, pages: Pages) -> None:
    def framed(request: Request, slug: str, name: str) -> Response:
        library.page(slug, name)
        return pages.render(
            request,
            "framed.html",
            category=library.category(slug),
            name=name.partition(".")[0],
            source=f"/c/{slug}/alone/{name}",
        )

    @app.get("/c/{slug}/report", include_in_schema=False)
    def report(request: Request, slug: str) -> Response:
        return framed(request, slug, library.report_name(slug, language_of(request)))

    @app.get("/c/{slug}/pages/{name}", include_in_schema=False)
    def page(request: Request, slug: str, name: str) -> Response:
        return framed(request, slug, name)


def _add_description(app: FastAPI, pages: Pages) -> None:
    @app.get("/api/docs", include_in_schema=False)
    def docs(request: Request) -> Response:
        """The description of the API, for people."""
        return pages.render(request, "api.html", described=app.openapi())


def _add_problems(app: FastAPI, pages: Pages) -> None:
    def answer(request: Request, status: int, text: str) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": text}, status)
        return pages.render(request, "problem.html", status, message=text)

    @app.exception_handler(PipelineError)
    def pipeline(request: Request, error: PipelineError) -> Response:
        answered = answer(request, _status_of(error), str(error))
        if isinstance(error, BusyError):
            answered.headers["retry-after"] = "5"
        return answered

    @app.exception_handler(ImageError)
    def image(request: Request, error: ImageError) -> Response:
        return answer(request, 400, str(error))

    @app.exception_handler(OSError)
    def disk(request: Request, error: OSError) -> Response:
        _log.error("A file cannot be read or written.", exc_info=error)
        return answer(
            request,
            503,
            f"A file of this installation cannot be read or written ({error.strerror or error}). "
            f"See that its disk has room and may be written to, and try again.",
        )

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    def fault(request: Request, _error: Exception) -> Response:
        return answer(
            request,
            500,
            "The server met a fault of its own. Its log has the details; please report them.",
        )

    @app.exception_handler(RequestValidationError)
    def validation(request: Request, error: RequestValidationError) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse(
                {"detail": [_without_input(problem) for problem in error.errors()]}, 422
            )
        return answer(
            request,
            422,
            "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors()),
        )


def _status_of(error: PipelineError) -> int:
    if isinstance(error, UnknownError):
        return 404
    if isinstance(error, ChangedError):
        return 409
    return 400 if isinstance(error, InputError) else 503


def _without_input(problem: dict[str, Any]) -> dict[str, Any]:
    # What was sent may not be JSON (NaN, raw bytes), and the sender knows it.
    return {name: problem[name] for name in ("type", "loc", "msg")}
