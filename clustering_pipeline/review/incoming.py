"""What a file that somebody hands in says: statements, or what was edited in a labelled workbook."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clustering_pipeline.errors import InputError
from clustering_pipeline.review.actions import Statement
from clustering_pipeline.review.files import SUFFIXES, read_statements
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.storage import BlobStore
from clustering_pipeline.workbook import read_label_edits

WORKBOOKS = (".xlsx", ".xlsm", ".ods")
INCOMING_SUFFIXES = tuple(sorted({*WORKBOOKS, *SUFFIXES}))


@dataclass(frozen=True)
class Incoming:
    """The statements of a file; `category` is that of a labelled workbook, None for a list of statements."""

    statements: Sequence[Statement]
    category: str | None = None


def read_incoming(path: Path, author: str, blobs: BlobStore, settings: CatalogueSettings) -> Incoming:
    """Return what a file says, signed by `author` where it names nobody.

    `blobs`: the store with the labels that workbooks were written with. Raises InputError when the file says nothing that can
    be understood.
    """
    if path.suffix.lower() in WORKBOOKS and path.is_file():
        edits = read_label_edits(path, blobs, settings)
        if edits is not None:
            signed = [{**row, "category": edits.category, "author": author} for row in edits.statements]
            return Incoming(signed, edits.category)
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"{path.name} is neither a labelled workbook of ours nor a list of corrections.")
    return Incoming(read_statements(path, author))
