"""From a workbook to the catalogue: one row per listing, with its pictures' addresses or the reason
why it has none; and what a person sees of a table before it is read: its sheets, their first rows,
and the columns that were recognised.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.manifests import CATALOGUE, conform
from clustering_pipeline.core.own_columns import is_own_sheet
from clustering_pipeline.core.progress import Fact
from clustering_pipeline.core.text import category_slug
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue.columns import (
    Columns,
    column_letters,
    columns_by_content,
    find_columns,
    own_columns,
)
from clustering_pipeline.stages.catalogue.embedded_images import (
    CellPictures,
    PictureListing,
    digest,
)
from clustering_pipeline.stages.catalogue.formats.sheets import column_number
from clustering_pipeline.stages.catalogue.formats.tables import FOLDER_SHEET, Table, read_table
from clustering_pipeline.stages.catalogue.listings import (
    ListingReader,
    SelectedSheet,
    column_values,
    filled_cells,
    head_rows,
    mark_duplicates,
    select_sheets,
)
from clustering_pipeline.stages.catalogue.sources import PICTURES, CatalogueSource, read_source
from clustering_pipeline.stages.contract import StageContext, StageResult


@dataclass(frozen=True)
class ReadWorkbook:
    """The listings of a workbook (columns as in the CATALOGUE manifest, in its order) and what was
    noticed on the way.
    """

    listings: pd.DataFrame
    facts: dict[str, Fact]


def run(
    *, source: CatalogueSource, settings: CatalogueSettings, context: StageContext
) -> StageResult:
    """Return the CATALOGUE manifest of a recorded source: a row per listing, in the order of the
    workbook.

    Raises InputError when the workbook cannot be read or lacks the columns.
    """
    content = context.blobs.get(source.sha256)
    with context.progress.track("Reading the catalogue", 1, "workbook") as bar:
        if source.is_folder:
            read = read_folder(PictureListing(content))
        else:
            listing = source.options.get(PICTURES)
            read = read_workbook(
                content,
                source.name,
                settings.model_copy(update={"sheets": source.sheets or settings.sheets}),
                pictures=PictureListing(context.blobs.get(listing)) if listing else None,
                category=source.part,
                keep=context.blobs.put,
            )
        bar.advance()
    return StageResult(conform(read.listings, CATALOGUE), read.facts)


def read_workbook(
    content: bytes,
    name: str,
    settings: CatalogueSettings,
    *,
    pictures: PictureListing | None = None,
    category: tuple[str, str] | None = None,
    keep: Callable[[bytes], str] = digest,
) -> ReadWorkbook:
    r"""Return the listings of a table file, whatever its format.

    `pictures`: the stored folder whose files cells may name. `category`: (header, value) of the
    rows to keep. `keep` stores a picture that lies in a cell and returns its sha256. Raises
    InputError when the file cannot be read, or no sheet has the columns.

    Example:
        >>> content = b"product_base_id,url_thumbnail\n17,https://shop.vn/17.jpg\n"
        >>> listings = read_workbook(content, "shop.csv", CatalogueSettings()).listings
        >>> listings[["product_base_id", "sheet_row", "urls"]].to_dict("list")
        {'product_base_id': ['17'], 'sheet_row': [2], 'urls': [['https://shop.vn/17.jpg']]}
    """
    table = read_table(content, name, settings)
    sheets = select_sheets(table, name, settings)
    in_cells = CellPictures(table.package, keep) if table.package else None
    rows = [
        row
        for sheet in sheets
        for row in ListingReader(sheet, settings, pictures, category, in_cells).rows()
    ]
    if not rows:
        raise _no_rows(sheets, name, category)
    listings = pd.DataFrame(rows)
    listings.insert(0, "listing", range(len(listings)))
    mark_duplicates(listings)
    facts = _facts(table, sheets, listings)
    return ReadWorkbook(
        listings, {**facts, "pictures_in_cells": len(in_cells)} if in_cells else facts
    )


def check_workbook(content: bytes, name: str, settings: CatalogueSettings) -> None:
    """Raise the InputError that reading a table file would end with: it cannot be read, lacks the
    columns, or has no rows.
    """
    sheets = select_sheets(read_table(content, name, settings), name, settings)
    if not any(len(sheet.table.rows) > sheet.columns.header_row for sheet in sheets):
        raise _no_rows(sheets, name)


def category_values(
    content: bytes, name: str, column: str, settings: CatalogueSettings
) -> list[str]:
    r"""Return the distinct values of a column, in order of appearance: the categories that one
    workbook holds.

    Raises InputError when the column is missing, or when two values would have the same slug or
    none.

    Example:
        >>> content = b"product_base_id,url_thumbnail,loai\n1,a.vn/1.jpg,Kem\n2,a.vn/2.jpg,Son\n"
        >>> category_values(content, "shop.csv", "loai", CatalogueSettings())
        ['Kem', 'Son']
    """
    sheets = select_sheets(read_table(content, name, settings), name, settings)
    values = dict.fromkeys(
        value for sheet in sheets for value in column_values(sheet, column) if value
    )
    slugs: dict[str, str] = {}
    for value in values:
        other = slugs.setdefault(category_slug(value), value)
        if other != value:
            raise InputError(
                f"The column {column!r} of {name} holds {other!r} and {value!r}, which are the "
                f"same category by their key {category_slug(value)!r}. Write them alike."
            )
    return list(values)


def _chosen(sheets: list[SelectedSheet]) -> str:
    return "; ".join(f"{sheet.table.name}: {sheet.columns.describe()}" for sheet in sheets)


def _no_rows(
    sheets: list[SelectedSheet], name: str, category: tuple[str, str] | None = None
) -> InputError:
    of_category = f" with {category[1]!r} in the column {category[0]!r}" if category else ""
    return InputError(
        f"{name} has the columns ({_chosen(sheets)}) but no row below them{of_category}."
    )


def _facts(table: Table, sheets: list[SelectedSheet], listings: pd.DataFrame) -> dict[str, Fact]:
    usable = int(listings["usable"].sum())
    facts: dict[str, Fact] = {
        "listings": len(listings),
        "usable": usable,
        "invalid_rows": len(listings) - usable,
        "rows_with_a_remark": int((listings["usable"] & listings["reason"].notna()).sum()),
        "ids_on_several_rows": int(listings["product_base_id"].duplicated(keep=False).sum()),
        "pictures": int(listings["urls"].map(len).sum()),
        "hidden_rows": sum(len(sheet.table.details.hidden_rows) for sheet in sheets),
        "columns": _chosen(sheets),
        "format": table.kind,
    }
    if table.remarks:
        facts["remarks"] = "; ".join(table.remarks)
    return facts


def read_folder(pictures: PictureListing) -> ReadWorkbook:
    """Return a listing per picture of a stored folder; its id is its path below the folder."""
    paths = sorted(pictures.digests)
    listings = pd.DataFrame(
        {
            "listing": range(len(paths)),
            "sheet": FOLDER_SHEET,
            "sheet_row": range(2, len(paths) + 2),
            "product_base_id": paths,
            "url_cell": paths,
            "urls": [[pictures.url(path)] for path in paths],
            "title": None,
            "usable": True,
            "reason": None,
            "extra": "{}",
        }
    )
    return ReadWorkbook(
        listings,
        {"listings": len(paths), "usable": len(paths), "pictures": len(paths), "format": "folder"},
    )


ROWS_SHOWN, COLUMNS_SHOWN, LETTERS_SHOWN = 30, 100, 200


@dataclass(frozen=True)
class ColumnChoice:
    """Which row holds the headers (from 1; 0 for none), and the headers, or letters, of the columns
    with ids, pictures and titles; "" where there is none.
    """

    header_row: int = 1
    identifier: str = ""
    url: str = ""
    title: str = ""

    @property
    def settings(self) -> dict[str, str | int]:
        """The settings of `catalogue` that read a table so."""
        names = {"id_column": self.identifier, "url_column": self.url, "title_column": self.title}
        return {"header_row": self.header_row, **{key: name for key, name in names.items() if name}}


@dataclass(frozen=True)
class SheetPreview:
    """A sheet: how many rows it has, the first of them as text, and the columns recognised.

    `is_read`: whether it would be read without being asked for: its columns are recognised by their
    headers. `guess` is made by what the cells hold where they are not.
    """

    name: str
    rows: int
    head: Sequence[Sequence[str]]
    guess: ColumnChoice
    is_read: bool

    def names(self, header_row: int) -> list[tuple[int, str]]:
        """Return the columns (from 0) that can be chosen under a header row, with what names each:
        its header, or its letters. What an earlier run added is not among them.
        """
        if header_row == 0:
            width = max((len(row) for row in self.head), default=0)
            return [(number, column_letters(number + 1)) for number in range(width)]
        row = self.head[header_row - 1] if header_row <= len(self.head) else ()
        own = own_columns(row)
        return [
            (number, _name(row, number + 1))
            for number, text in enumerate(row)
            if text.strip() and number + 1 not in own
        ]

    def headers(self, header_row: int) -> list[tuple[str, str]]:
        """Return the columns that can be chosen as `names` does, each with what a person reads."""
        row = self.head[header_row - 1] if header_row and header_row <= len(self.head) else ()
        return [
            (name, name if not row or row[number].strip() == name else f"{row[number]} ({name})")
            for number, name in self.names(header_row)
        ]


def check_file(path: Path, settings: CatalogueSettings) -> None:
    """Raise the InputError that reading a table file would end with."""
    check_workbook(read_source(path), path.name, settings)


def preview_file(path: Path, settings: CatalogueSettings) -> list[SheetPreview]:
    """Return the sheets of a table file that are not ours, those that would be read first.

    Raises InputError when the file cannot be read.
    """
    table = read_table(read_source(path), path.name, settings)
    previews = []
    for sheet in table.sheets:
        head = head_rows(sheet)
        if is_own_sheet(sheet.name, head[0] if head else ()) or not any(map(any, head)):
            continue
        columns = find_columns(head, settings, partial(filled_cells, sheet))
        previews.append(
            SheetPreview(
                sheet.name,
                len(sheet.rows),
                [
                    [text[:LETTERS_SHOWN] for text in row[:COLUMNS_SHOWN]]
                    for row in head[:ROWS_SHOWN]
                ],
                _recognised(head, columns) if columns else _guessed(head),
                columns is not None,
            )
        )
    return sorted(previews, key=lambda preview: not preview.is_read)


def _name(row: Sequence[str], number: int) -> str:
    """Return what names a column (from 1) of a header row alone: its header, or its letters where
    another has the same.
    """
    texts = [text.strip() for text in row]
    text = texts[number - 1]
    return text if text and texts.count(text) == 1 else column_letters(number)


def _recognised(head: Sequence[Sequence[str]], columns: Columns) -> ColumnChoice:
    row = head[columns.header_row - 1] if columns.header_row else ()

    def named(number: int | None) -> str:
        if not number:
            return ""
        return _name(row, number) if row else column_letters(number)

    return ColumnChoice(
        columns.header_row, named(columns.identifier), named(columns.url), named(columns.title)
    )


def _guessed(head: Sequence[Sequence[str]]) -> ColumnChoice:
    """Return the columns whose cells look like ids and addresses, named by their header where the
    first row has one.
    """
    first = next((number for number, row in enumerate(head, start=1) if any(row)), 1)
    letters_found = columns_by_content(head)
    if letters_found is None:
        return ColumnChoice(first)
    numbers = [column_number(letters) for letters in letters_found]
    row = [*head[first - 1], *[""] * max(numbers)]
    if not all(row[number - 1] for number in numbers) or "/" in row[numbers[1] - 1]:
        return ColumnChoice(0, *letters_found)
    return ColumnChoice(first, *(_name(row, number) for number in numbers))
