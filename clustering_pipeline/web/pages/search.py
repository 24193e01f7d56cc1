"""The pages on which a person searches with a picture."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.imaging import ImageError
from clustering_pipeline.outputs.search import Mode
from clustering_pipeline.web.category_cache import Library
from clustering_pipeline.web.rendering import Pages
from clustering_pipeline.web.search_service import MOST_HITS, Finder
from clustering_pipeline.web.security import BusyError

SHOWN = 24


def search_router(library: Library, pages: Pages, finder: Finder) -> APIRouter:
    """Return the routes of the search pages."""
    router = APIRouter(include_in_schema=False)

    @router.get("/c/{slug}/search")
    def ask(request: Request, slug: str) -> HTMLResponse:
        category = library.category(slug)
        return pages.render(
            request, "search.html", category=category, ready=library.has_search(slug)
        )

    @router.post("/c/{slug}/search")
    def receive(
        request: Request,
        slug: str,
        secret: Annotated[str, Form()],
        picture: Annotated[UploadFile | None, File()] = None,
        words: Annotated[str, Form(max_length=4000)] = "",
        mode: Annotated[Mode, Form()] = "exact",
    ) -> Response:
        pages.check_form(secret)
        category = library.category(slug)
        content = picture.file.read() if picture else None
        is_address = words.strip().lower().startswith(("http://", "https://"))
        try:
            if not content and words.strip() and not is_address and not finder.knows(slug, words):
                return RedirectResponse(f"/c/{slug}/words?q={quote(words.strip())}", 303)
            name = finder.queries.keep(finder.query_of(slug, content, words))
        except (ImageError, PipelineError) as error:
            return pages.render(
                request,
                "search.html",
                503 if isinstance(error, BusyError) else 400,
                problem=error,
                category=category,
                ready=library.has_search(slug),
            )
        return RedirectResponse(f"/c/{slug}/search/{name}?mode={mode}", 303)

    @router.get("/c/{slug}/words")
    def by_words(
        request: Request, slug: str, q: Annotated[str, Query(max_length=4000)] = ""
    ) -> HTMLResponse:
        return pages.render(
            request,
            "words.html",
            category=library.category(slug),
            words=q,
            found=finder.named(slug, q),
        )

    @router.get("/c/{slug}/search/{name}")
    def results(
        request: Request,
        slug: str,
        name: str,
        mode: Mode = "exact",
        region: Annotated[int, Query(ge=0, le=100)] = 0,
        top: Annotated[int, Query(ge=1, le=MOST_HITS)] = SHOWN,
    ) -> HTMLResponse:
        category = library.category(slug)
        results_found = finder.find(slug, finder.queries.get(name), mode, top, region)
        return pages.render(
            request,
            "results.html",
            category=category,
            found=results_found,
            name=name,
            mode=mode,
            region=region,
            top=top,
        )

    @router.get("/c/{slug}/search/{name}/picture.jpg")
    def picture(slug: str, name: str) -> Response:
        library.category(slug)
        return Response(finder.queries.get(name).jpeg, media_type="image/jpeg")

    return router
