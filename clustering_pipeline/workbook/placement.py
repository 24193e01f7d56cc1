"""Where our columns stand on a sheet, and what they are called there."""

from collections.abc import Sequence
from dataclasses import dataclass

from clustering_pipeline.catalogue import OWN_COLUMNS, OWN_PREFIX, SelectedSheet
from clustering_pipeline.errors import InputError
from clustering_pipeline.workbook.sheet_edit import MAX_COLUMN

WIDTHS = {
    "cluster_id": 11.0,
    "cluster_name": 36.0,
    "cluster_size": 11.0,
    "is_representative": 16.0,
    "confidence": 11.0,
    "status": 16.0,
    "reason": 48.0,
}


@dataclass(frozen=True)
class Placement:
    """Our columns on one sheet: the number and header of each, and which of them an earlier run had added."""

    header_row: int
    columns: dict[str, int]
    headers: dict[str, str]
    already_there: frozenset[str]

    @property
    def widths(self) -> dict[int, float]:
        """Widths of the columns that are new, in characters; those that are there keep what a person gave them."""
        return {number: WIDTHS[name] for name, number in self.columns.items() if name not in self.already_there}


def place_columns(sheet: SelectedSheet) -> Placement:
    """Return where our columns go: those of an earlier run stay where they are, new ones stand right of everything else.

    A name that the user has already gets a prefix. Raises InputError when the sheet has no room left.
    """
    own = {name: number for number, name in _named(sheet).items()}
    last = max([sheet.table.details.last_column, *map(len, sheet.table.rows), *_merged_columns(sheet)])
    missing = [name for name in OWN_COLUMNS if name not in own]
    if last + len(missing) > MAX_COLUMN:
        raise InputError(
            f"Sheet {sheet.table.name!r} has no room for our columns: it is used up to column {last:,} of {MAX_COLUMN:,}. Delete "
            "columns that are not needed."
        )
    users = [text for number, text in enumerate(sheet.columns.headers, start=1) if number not in sheet.columns.own]
    columns = own | {name: last + position for position, name in enumerate(missing, start=1)}
    headers = {name: sheet.columns.headers[number - 1] for name, number in own.items()}
    headers |= {name: free_name(name, users) for name in missing}
    return Placement(sheet.columns.header_row, columns, headers, frozenset(own))


def _merged_columns(sheet: SelectedSheet) -> list[int]:
    """Return the last columns of merged cells from the header row on, which would hide ours; one to the edge is none."""
    reaching = (last for _, _, row, last in sheet.table.details.merged if row >= sheet.columns.header_row)
    return [last for last in reaching if last + len(OWN_COLUMNS) <= MAX_COLUMN]


def _named(sheet: SelectedSheet) -> dict[int, str]:
    return {number: sheet.columns.headers[number - 1].strip().removeprefix(OWN_PREFIX) for number in sheet.columns.own}


def free_name(name: str, taken: Sequence[str]) -> str:
    """Return `name`, with the prefix as often as it takes to differ from what is taken."""
    lower = {text.strip().casefold() for text in taken}
    while name.casefold() in lower:
        name = f"{OWN_PREFIX}{name}"
    return name
