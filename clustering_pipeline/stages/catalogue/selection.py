"""Which sheets of a workbook are read, and the rows at their head."""

from collections.abc import Sequence
from dataclasses import dataclass

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue.columns import (
    SEARCHED_ROWS,
    Columns,
    find_columns,
    is_own_sheet,
    missing_columns,
)
from clustering_pipeline.stages.catalogue.formats.tables import SheetTable, Table
from clustering_pipeline.stages.catalogue.formats.values import cell_text


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
    found = [(sheet, find_columns(heads[sheet.name], settings)) for sheet in candidates]
    selected = [SelectedSheet(sheet, columns) for sheet, columns in found if columns is not None]
    if not selected or (settings.sheets and len(selected) < len(candidates)):
        lacking = [(sheet.name, heads[sheet.name]) for sheet, columns in found if columns is None]
        raise missing_columns(name, lacking, settings)
    return selected


def _named(table: Table, name: str, wanted: Sequence[str]) -> list[SheetTable]:
    known = {sheet.name: sheet for sheet in table.sheets}
    missing = [sheet for sheet in wanted if sheet not in known]
    if missing:
        raise InputError(
            f"{name} has no sheet {', '.join(map(repr, missing))}. Its sheets are "
            f"{', '.join(map(repr, known))}: correct the name in catalogue.sheets."
        )
    return [known[sheet] for sheet in wanted]


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
