"""The pages of corrections: every statement, undone one by one; files of them and edited workbooks,
in and out.
"""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from clustering_pipeline.core.corrections import (
    Correction,
    Different,
    Keep,
    ListingReference,
    RecordedCorrection,
    Same,
    Statement,
    Unsure,
    acts_of,
)
from clustering_pipeline.core.engine import batched
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.security import ConfinedError, confined
from clustering_pipeline.outputs.report import Listing
from clustering_pipeline.review import INCOMING_SUFFIXES, Incoming, actions, read_incoming
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.storage import BlobStore
from clustering_pipeline.web.category_cache import Category, Library, Shelf
from clustering_pipeline.web.rendering import Pages, Secret, statement_numbers
from clustering_pipeline.web.security import Turns

MOST_STATEMENTS = 20_000
STATEMENTS_SHOWN = 200
# Of the statements of all proposals that wait for a yes.
STATEMENTS_HELD = 100_000
# What reading one upload may use, beside what the process needs to begin; one is read at a time.
UPLOAD_MEGABYTES = 1024
UPLOAD_SECONDS = 60.0
UPLOADS = Turns(1, most_waiting=4, seconds=60.0)
WORKBOOK_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True)
class Proposal:
    """What an uploaded file would record in a category: its new corrections, and how many it has in
    all.
    """

    slug: str
    file_name: str
    corrections: Sequence[Correction]
    said: int


@dataclass(frozen=True)
class Act:
    """What was recorded together, the first statement first: a line of the history."""

    statements: Sequence[RecordedCorrection]
    counts: Mapping[str, int]

    @classmethod
    def of(cls, act: Sequence[RecordedCorrection]) -> "Act":
        """Return the line of what was recorded together."""
        return cls(act, Counter(one.statement.kind for one in act))


def _undoable(act: Sequence[RecordedCorrection]) -> list[Sequence[RecordedCorrection]]:
    """Return an act in parts that a form can undo at once."""
    return list(batched(act, actions.MOST_STATEMENTS))


def correction_router(library: Library, pages: Pages) -> APIRouter:
    """Return the routes of corrections."""
    router = APIRouter(include_in_schema=False)
    _add_history(router, library, pages)
    _add_outgoing(router, library)
    _add_incoming(router, library, pages)
    return router


def _add_history(router: APIRouter, library: Library, pages: Pages) -> None:
    @router.post("/c/{slug}/undo")
    def undo(
        request: Request,
        slug: str,
        secret: Secret,
        numbers: Annotated[str, Form()],
        back: Annotated[int | None, Form()] = None,
    ) -> Response:
        pages.check_form(secret)
        category = library.category(slug)
        library.corrections.undo_all(statement_numbers(numbers), author=pages.author(request))
        if back is None:
            return RedirectResponse(f"/c/{slug}/corrections", 303)
        library.progress.clear(slug, category.cluster(back))
        return RedirectResponse(f"/c/{slug}/review/{back}", 303)

    @router.get("/c/{slug}/corrections")
    def history(request: Request, slug: str, imported: int | None = None) -> HTMLResponse:
        values = {**_history_values(library, slug), "imported": imported}
        return pages.render(request, "corrections.html", **values)


def _history_values(library: Library, slug: str) -> dict[str, Any]:
    category = library.category(slug)
    pending = library.pending(category)
    shown = [
        recorded
        for recorded in library.corrections.history()
        if recorded.correction.category in (None, slug)
    ]
    return {
        "category": category,
        "imported": None,
        "acts": [Act.of(part) for act in acts_of(shown)[::-1] for part in _undoable(act)],
        "in_force": {recorded.number for recorded in library.corrections.in_force(slug)},
        "pending": len(pending),
        "pending_numbers": pending,
        "suffixes": ",".join(INCOMING_SUFFIXES),
        "has_workbook": library.workbook_path(slug) is not None,
    }


def _add_outgoing(router: APIRouter, library: Library) -> None:
    @router.get("/c/{slug}/corrections.xlsx")
    def export(slug: str) -> Response:
        library.category(slug)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "corrections.xlsx"
            library.corrections.export_file(path)
            content = path.read_bytes()
        return _download(content, f"corrections-{slug}.xlsx", WORKBOOK_TYPE)

    @router.get("/c/{slug}/workbook")
    def workbook(slug: str) -> Response:
        name, content = library.workbook(slug)
        suffix = Path(name).suffix.lower()
        media_types = {
            ".xlsx": WORKBOOK_TYPE,
            ".xlsm": "application/vnd.ms-excel.sheet.macroEnabled.12",
            ".csv": "text/csv",
        }
        return _download(
            content,
            f"{slug}.clustered{suffix}",
            media_types.get(suffix, "application/octet-stream"),
        )


def _add_incoming(router: APIRouter, library: Library, pages: Pages) -> None:
    shelf: Shelf[Proposal] = Shelf(
        STATEMENTS_HELD, "This upload is no longer held. Choose the file again."
    )

    @router.post("/c/{slug}/corrections")
    def upload(
        request: Request, slug: str, secret: Secret, file: Annotated[UploadFile, File()]
    ) -> Response:
        pages.check_form(secret)
        library.category(slug)
        try:
            proposal = read_proposal(library, slug, file, pages.author(request))
        except InputError as error:
            return pages.render(
                request, "corrections.html", 400, problem=error, **_history_values(library, slug)
            )
        return RedirectResponse(
            f"/c/{slug}/corrections/uploaded/{shelf.keep(proposal, proposal.said + 1)}", 303
        )

    @router.get("/c/{slug}/corrections/uploaded/{name}")
    def preview(request: Request, slug: str, name: str) -> HTMLResponse:
        category, proposal = library.category(slug), shelf.get(name)
        shown = [
            (correction.statement, _listings_of(category, correction.statement))
            for correction in proposal.corrections[:STATEMENTS_SHOWN]
        ]
        return pages.render(
            request, "proposal.html", category=category, proposal=proposal, shown=shown
        )

    @router.post("/c/{slug}/corrections/uploaded/{name}")
    def record(slug: str, name: str, secret: Secret) -> Response:
        pages.check_form(secret)
        proposal = shelf.get(name)
        if proposal.slug != slug:
            raise InputError(
                f"The upload is for the category {proposal.slug}. Open its page of corrections."
            )
        added = library.corrections.add_new(proposal.corrections)
        return RedirectResponse(f"/c/{slug}/corrections?imported={len(added)}", 303)


def read_proposal(library: Library, slug: str, file: UploadFile, author: str) -> Proposal:
    """Return what an uploaded file would record; raises InputError when it cannot be read, or is
    another category's.
    """
    name = Path((file.filename or "").replace("\\", "/")).name
    suffix = next((suffix for suffix in INCOMING_SUFFIXES if name.lower().endswith(suffix)), None)
    if suffix is None:
        raise InputError(
            f"The file is none of {', '.join(INCOMING_SUFFIXES)}. Choose a labelled workbook or a "
            f"list of corrections."
        )
    settings = library.project.category_settings(slug).catalogue
    with tempfile.TemporaryDirectory() as folder:
        # The name is ours: what the browser calls the file decides nothing but the format.
        path = Path(folder) / f"upload{suffix}"
        path.write_bytes(file.file.read())
        incoming = _read_confined(path, author, library.blobs, settings)
    if incoming.category not in (None, slug):
        raise InputError(
            f"This is the workbook of the category {incoming.category}. Open its page of "
            f"corrections."
        )
    if len(incoming.corrections) > MOST_STATEMENTS:
        raise InputError(
            f"The file holds {len(incoming.corrections):,} statements, and pages take "
            f"{MOST_STATEMENTS:,} at once. Use clustering-pipeline corrections import."
        )
    corrections = actions.names_placed(incoming.corrections, [slug])
    return Proposal(slug, name[:120], library.corrections.new(corrections), len(corrections))


def _read_confined(
    path: Path, author: str, blobs: BlobStore, settings: CatalogueSettings
) -> Incoming:
    """Return what a file says, read in a process that may fail without harm to the server."""
    with UPLOADS.take():
        try:
            return confined(
                read_incoming, UPLOAD_MEGABYTES, UPLOAD_SECONDS, path, author, blobs, settings
            )
        except ConfinedError as error:
            raise InputError(
                f"The file cannot be read here: {error}. Use clustering-pipeline corrections "
                f"import, which has no such limit."
            ) from error


def _listings_of(
    category: Category, statement: Statement
) -> list[tuple[ListingReference, Listing | None]]:
    """Return the listings that a statement speaks of as it names them, and as this category has
    them, None where it does not.
    """
    match statement:
        case Same(a, b) | Different(a, b) | Unsure(a, b):
            named = [a, b]
        case Keep(listing):
            named = [listing]
        case _:
            named = []
    return [(reference, category.listing_named(reference)) for reference in named]


def _download(content: bytes, name: str, media_type: str) -> Response:
    return Response(
        content,
        media_type=media_type,
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )
