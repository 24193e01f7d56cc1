"""What a person sees of a table before it is read: its sheets, their first rows, and the columns
that were recognised.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clustering_pipeline.core.own_columns import is_own_sheet
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue.columns import (
    Columns,
    column_letters,
    columns_by_content,
    find_columns,
    own_columns,
)
from clustering_pipeline.stages.catalogue.formats.sheets import column_number
from clustering_pipeline.stages.catalogue.formats.tables import read_table
from clustering_pipeline.stages.catalogue.listings import filled_cells, head_rows
from clustering_pipeline.stages.catalogue.sources import read_source
from clustering_pipeline.stages.catalogue.stage import check_workbook

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
