"""Which sheets of a workbook are read, and their rows as listings."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.own_columns import is_own_sheet
from clustering_pipeline.core.text import plain_header
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue.addresses import (
    MAX_CELL_CHARACTERS,
    FormulaError,
    LinkFormula,
    UrlCell,
    parse_url_cell,
    split_cell,
)
from clustering_pipeline.stages.catalogue.columns import (
    SEARCHED_ROWS,
    Columns,
    column_letters,
    find_columns,
    missing_columns,
    unique_headers,
)
from clustering_pipeline.stages.catalogue.embedded_images import CellPictures, PictureListing
from clustering_pipeline.stages.catalogue.formats.sheet_details import error_fault
from clustering_pipeline.stages.catalogue.formats.tables import (
    ERRORS,
    SheetTable,
    Table,
    cell_text,
    identifier_doubt,
)

Position = tuple[int, int]
SHOWN_ROWS = 5
# Letters by which a column is named in the catalogue.
LONGEST_HEADER = 120


@dataclass(frozen=True)
class SelectedSheet:
    """A sheet and where its ids, pictures and titles are."""

    table: SheetTable
    columns: Columns

    def identifier_at(self, row: int) -> str:
        """Return the id that stands on a row, "" where the cell is empty or covered by a merged
        one.
        """
        cells = self.table.rows[row - 1] if row <= len(self.table.rows) else []
        column = self.columns.identifier
        value = cells[column - 1] if column <= len(cells) else ""
        return cell_text(value, self.table.details.numbers.get((row, column)))


def select_sheets(table: Table, name: str, settings: CatalogueSettings) -> list[SelectedSheet]:
    """Return the sheets to read: those named in the settings, else all that have the columns and
    are not our own.

    Raises InputError when a named sheet is missing or lacks the columns, or when no sheet has them.
    """
    heads = {sheet.name: head_rows(sheet) for sheet in table.sheets}
    candidates = [
        sheet for sheet in table.sheets if not is_own_sheet(sheet.name, _first(heads[sheet.name]))
    ]
    if settings.sheets:
        candidates = _named(table, name, settings.sheets)
    columns_of_sheets = [
        (sheet, find_columns(heads[sheet.name], settings, partial(filled_cells, sheet)))
        for sheet in candidates
    ]
    selected = [
        SelectedSheet(sheet, columns) for sheet, columns in columns_of_sheets if columns is not None
    ]
    if not selected or (settings.sheets and len(selected) < len(candidates)):
        lacking = [
            (sheet.name, heads[sheet.name])
            for sheet, columns in columns_of_sheets
            if columns is None
        ]
        raise missing_columns(name, lacking, settings)
    return selected


def filled_cells(sheet: SheetTable, column: int, header_row: int) -> int:
    """Return how many cells of a column below the header hold something."""
    details = sheet.details
    marked = {
        row
        for facts in (details.links, details.formulas, details.pictures)
        for row, marked_column in facts
        if marked_column == column and row > header_row
    }
    below = enumerate(sheet.rows[header_row:], start=header_row + 1)
    return sum(
        number in marked or (column <= len(row) and row[column - 1] not in ("", None))
        for number, row in below
    )


def _named(table: Table, name: str, wanted: Sequence[str]) -> list[SheetTable]:
    by_name = {sheet.name: sheet for sheet in table.sheets}
    missing = [sheet for sheet in wanted if sheet not in by_name]
    if missing:
        raise InputError(
            f"{name} has no sheet {', '.join(map(repr, missing))}. Its sheets are "
            f"{', '.join(map(repr, by_name))}: correct the name in catalogue.sheets."
        )
    return [by_name[sheet] for sheet in wanted]


def head_rows(sheet: SheetTable) -> list[list[str]]:
    """Return the first rows of a sheet as text, where its header is looked for; a merged cell's
    text stands in all it covers.
    """
    rows = [[cell_text(value) for value in row] for row in sheet.rows[:SEARCHED_ROWS]]
    for first_row, first_column, last_row, last_column in sheet.details.merged:
        if last_row > len(rows) or first_column > len(rows[first_row - 1]):
            continue
        text = rows[first_row - 1][first_column - 1]
        for row in rows[first_row:last_row]:
            row.extend([""] * (min(last_column, len(rows[first_row - 1])) - len(row)))
            if first_column <= len(row) and not row[first_column - 1]:
                row[first_column - 1] = text
    return rows


def _first(rows: Sequence[Sequence[str]]) -> Sequence[str]:
    return rows[0] if rows else ()


class ListingReader:
    """Turns the rows below a sheet's header into rows of the catalogue."""

    def __init__(
        self,
        sheet: SelectedSheet,
        settings: CatalogueSettings,
        pictures: PictureListing | None,
        category: tuple[str, str] | None,
        in_cells: CellPictures | None = None,
    ) -> None:
        self._table, self._columns = sheet.table, sheet.columns
        self._details = sheet.table.details
        self._keep_all = settings.images_per_listing == "all"
        self._pictures = pictures
        self._in_cells = in_cells
        self._category = category
        self._category_column = find_column(sheet, category[0]) if category else 0
        self._merged = self._merged_cells()
        chosen = {
            self._columns.identifier,
            self._columns.url,
            self._columns.title or 0,
        } | self._columns.own
        # Every row names its other cells by their headers.
        names = unique_headers([name[:LONGEST_HEADER] for name in self._columns.headers])
        self._extra = [(n, name) for n, name in enumerate(names, start=1) if n not in chosen]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a catalogue row, without its number, for every row that has a filled cell outside
        our own columns.
        """
        for number in range(self._columns.header_row + 1, len(self._table.rows) + 1):
            row = self._table.rows[number - 1]
            if any(
                value != "" and column not in self._columns.own
                for column, value in enumerate(row, start=1)
            ):
                listing = self._listing(number, row)
                if listing is not None:
                    yield listing

    def _listing(self, number: int, row: list[Any]) -> dict[str, Any] | None:
        if (
            self._category
            and self._text(number, self._category_column) != self._category[1].strip()
        ):
            return None
        identifier = self._text(number, self._columns.identifier)
        shown_url = self._text(number, self._columns.url)
        cell = self._pictures_of(number, shown_url)
        problem = self._identifier_problem(number, identifier) or self._url_problem(
            number, shown_url, cell
        )
        return {
            "sheet": self._table.name,
            "sheet_row": number,
            "product_base_id": identifier or None,
            "url_cell": shown_url or None,
            "urls": [] if problem else list(cell.urls if self._keep_all else cell.urls[:1]),
            "title": self._title(number) or None,
            "usable": problem is None,
            "reason": problem or self._remark(number, identifier, cell),
            "extra": self._extra_cells(number, row),
        }

    def _value(self, position: Position) -> Any:
        row, column = self._merged.get(position, position)
        cells = self._table.rows[row - 1] if row <= len(self._table.rows) else ()
        return cells[column - 1] if column <= len(cells) else ""

    def _text(self, number: int, column: int) -> str:
        position = self._place(number, column)
        return cell_text(self._value(position), self._details.numbers.get(position))

    def _title(self, number: int) -> str:
        """Return the title of a row, of no more letters than a cell of Excel holds."""
        if not self._columns.title:
            return ""
        return self._text(number, self._columns.title)[:MAX_CELL_CHARACTERS].rstrip()

    def _pictures_of(self, number: int, shown: str) -> UrlCell:
        if self._pictures is not None:
            stored = self._stored_pictures(shown)
            if stored:
                return UrlCell(tuple(stored))
        cell = parse_url_cell(shown)
        return cell if cell.urls else self._behind(self._place(number, self._columns.url), cell)

    def _behind(self, position: Position, cell: UrlCell) -> UrlCell:
        """Return what a cell leads to that shows no address: by its formula, its picture, or a link
        behind its text.
        """
        formula, part = self._details.formulas.get(position), self._details.pictures.get(position)
        if formula is not None:
            return self._by_formula(formula)
        if part is not None and self._in_cells is not None:
            url = self._in_cells.url(part)
            return UrlCell((url,)) if url else UrlCell((), (self._missing_picture(),))
        link = self._details.links.get(position)
        return parse_url_cell(link) if link else cell

    def _by_formula(self, formula: LinkFormula) -> UrlCell:
        try:
            return parse_url_cell(formula.address(self._plain_text))
        except FormulaError as error:
            header = self._columns.headers[self._columns.url - 1]
            return UrlCell(
                (),
                (
                    f"the formula of the cell {header!r} is not understood ({error}): put the "
                    f"address there as text",
                ),
            )

    def _plain_text(self, position: Position) -> str:
        """Return the text of a cell as `&` joins it: numbers without their format; raises
        FormulaError for one without a value.
        """
        fault = self._details.faults.get(position)
        if fault:
            raise FormulaError(f"{column_letters(position[1])}{position[0]} {fault}")
        return cell_text(self._value(position))

    def _missing_picture(self) -> str:
        header = self._columns.headers[self._columns.url - 1]
        return (
            f"the cell {header!r} shows a picture that the workbook does not hold, or one over 64 "
            f"MB: insert it anew, or give its address"
        )

    def _place(self, number: int, column: int) -> Position:
        return self._merged.get((number, column), (number, column))

    def _stored_pictures(self, shown: str) -> list[str]:
        assert self._pictures is not None
        candidates = [shown, *split_cell(shown.replace(",", "\n").replace(";", "\n"))]
        urls = (self._pictures.find(text) for text in candidates)
        return list(dict.fromkeys(url for url in urls if url))

    def _identifier_problem(self, number: int, identifier: str) -> str | None:
        header = self._columns.headers[self._columns.identifier - 1]
        if not identifier or identifier in ERRORS:
            return self._without_value(number, self._columns.identifier, identifier)
        if len(identifier) > MAX_CELL_CHARACTERS:
            return (
                f"the cell {header!r} holds {len(identifier):,} characters, over the limit of "
                f"{MAX_CELL_CHARACTERS:,}: shorten the id"
            )
        if self._columns.header_row and identifier.casefold() == header.casefold():
            return "the row repeats the header"
        return None

    def _url_problem(self, number: int, shown: str, cell: UrlCell) -> str | None:
        header = self._columns.headers[self._columns.url - 1]
        if cell.urls:
            return None
        if not cell.problems or shown in ERRORS:
            return self._without_value(number, self._columns.url, shown)
        if self._pictures is not None and shown:
            return (
                f"the cell {header!r} names {shown!r}, which is no picture in the folder of "
                f"pictures that can be read, and no web address"
            )
        return cell.problems[0]

    def _without_value(self, number: int, column: int, shown: str) -> str:
        """Return why a cell has nothing to read: its error, its formula, or that it is empty."""
        fault = error_fault(shown) if shown else "is empty"
        fault = self._details.faults.get(self._place(number, column), fault)
        return f"the cell {self._columns.headers[column - 1]!r} {fault}"

    def _remark(self, number: int, identifier: str, cell: UrlCell) -> str | None:
        doubt = identifier_doubt(self._value((number, self._columns.identifier)), identifier)
        skipped = (
            f"left out: {'; '.join(cell.problems)}" if cell.problems and self._keep_all else None
        )
        return "; ".join(filter(None, (doubt, skipped))) or None

    def _extra_cells(self, number: int, row: list[Any]) -> str:
        cells = {
            name: cell_text(row[column - 1], self._details.numbers.get((number, column)))
            for column, name in self._extra
            if column <= len(row) and row[column - 1] not in ("", None)
        }
        return json.dumps(cells, ensure_ascii=False)

    def _merged_cells(self) -> dict[Position, Position]:
        """Return, for cells that a merged one covers in the columns that matter, the cell that
        holds the value.
        """
        wanted = {
            self._columns.identifier,
            self._columns.url,
            self._columns.title,
            self._category_column,
        }
        return {
            (row, first_column): (first_row, first_column)
            for first_row, first_column, last_row, _ in self._details.merged
            if first_column in wanted and first_row > self._columns.header_row
            for row in range(first_row, min(last_row, len(self._table.rows)) + 1)
        }


def find_column(sheet: SelectedSheet, header: str) -> int:
    """Return the number of the column with a header, whatever its accents and case; raises
    InputError when there is none.
    """
    for number, name in enumerate(sheet.columns.headers, start=1):
        if plain_header(name) == plain_header(header):
            return number
    raise InputError(
        f"Sheet {sheet.table.name!r} has no column {header!r} to split into categories. It has "
        f"{', '.join(map(repr, sheet.columns.headers))}: correct --category-column."
    )


def column_values(sheet: SelectedSheet, header: str) -> Iterator[str]:
    """Yield the text of a column's cells below the header."""
    column = find_column(sheet, header)
    first, numbers = sheet.columns.header_row + 1, sheet.table.details.numbers
    for number, row in enumerate(sheet.table.rows[first - 1 :], start=first):
        yield (
            cell_text(row[column - 1], numbers.get((number, column))) if column <= len(row) else ""
        )


def mark_duplicates(listings: pd.DataFrame) -> None:
    """Add to the reason of every row whose id stands on several which others have it."""
    several_sheets = listings["sheet"].nunique() > 1
    places: dict[str, list[str]] = defaultdict(list)
    for identifier, sheet, row in zip(
        listings["product_base_id"], listings["sheet"], listings["sheet_row"], strict=True
    ):
        if identifier:
            places[identifier].append(f"{sheet}!{row}" if several_sheets else f"{row}")
    remarks = {
        identifier: _repeated(identifier, rows)
        for identifier, rows in places.items()
        if len(rows) > 1
    }
    listings["reason"] = [
        "; ".join(filter(None, (reason, remarks.get(identifier)))) or None
        for identifier, reason in zip(listings["product_base_id"], listings["reason"], strict=True)
    ]


def _repeated(identifier: str, places: list[str]) -> str:
    more = f" and {len(places) - SHOWN_ROWS} more" if len(places) > SHOWN_ROWS else ""
    return f"the id {identifier} is on {len(places)} rows ({', '.join(places[:SHOWN_ROWS])}{more})"
