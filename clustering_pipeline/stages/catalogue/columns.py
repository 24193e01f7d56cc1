"""Which row holds the headers, which columns the ids, pictures and titles, and which are our
own.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.own_columns import OWN_COLUMNS, own_name
from clustering_pipeline.core.text import plain_header
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue.formats.sheets import column_number

# A lone `status` is the user's; this many of our names side by side are ours.
TELLING_RUN = 3


def own_columns(header: Sequence[str]) -> dict[int, str]:
    """Return the column numbers (from 1) of a header row that an earlier run added, with the name
    of each.

    Ours stand side by side in their fixed order, from `cluster_id` on; one that a person removed
    may be missing.
    """
    names = [own_name(text) for text in header]
    best: dict[int, str] = {}
    for start, name in enumerate(names):
        run = _run_from(names, start) if name == OWN_COLUMNS[0] else {}
        if len(run) >= max(TELLING_RUN, len(best)):
            best = run
    return best


def _run_from(names: Sequence[str | None], start: int) -> dict[int, str]:
    run: dict[int, str] = {}
    rank = -1
    for position in range(start, len(names)):
        name = names[position]
        if name is None or OWN_COLUMNS.index(name) <= rank:
            break
        rank = OWN_COLUMNS.index(name)
        run[position + 1] = name
    return run


SEARCHED_ROWS = 50
SHOWN_COLUMNS = 40
WEB_ADDRESS = re.compile(r"(?:https?:)?//\S+\.\S+")
MOST = 0.8

USUAL_HEADERS: dict[str, list[str]] = tomllib.loads(
    (Path(__file__).parent / "headers.toml").read_text(encoding="utf-8")
)
Filled = Callable[[int, int], int]
ID_HEADERS, URL_HEADERS, TITLE_HEADERS = (
    USUAL_HEADERS[role] for role in ("ids", "pictures", "titles")
)


@dataclass(frozen=True)
class Columns:
    """The header row (from 1; 0 when there is none) and the column numbers, from 1."""

    header_row: int
    identifier: int
    url: int
    title: int | None
    headers: tuple[str, ...]
    own: frozenset[int]

    def describe(self) -> str:
        """Return the choice as a person reads it: "ids from 'sku', pictures from 'image'"."""
        parts = [
            f"ids from {self.headers[self.identifier - 1]!r}",
            f"pictures from {self.headers[self.url - 1]!r}",
        ]
        if self.title:
            parts.append(f"titles from {self.headers[self.title - 1]!r}")
        return ", ".join(parts)


def find_columns(
    rows: Sequence[Sequence[str]], settings: CatalogueSettings, filled: Filled
) -> Columns | None:
    """Return the columns of a sheet from its first rows as text, or None when no row has a header
    for both ids and pictures.

    `filled` tells how many cells of a column (from 1) below a header row hold something.

    Example:
        >>> rows = [["Mã sản phẩm", "url_thumbnail"]]
        >>> find_columns(rows, CatalogueSettings(), lambda column, header: 1).describe()
        "ids from 'Mã sản phẩm', pictures from 'url_thumbnail'"
    """
    if settings.header_row is not None:
        header = (
            _lettered(rows) if settings.header_row == 0 else list(_row(rows, settings.header_row))
        )
        return _match_header(header, settings.header_row, settings, filled)
    for number, row in enumerate(rows[:SEARCHED_ROWS], start=1):
        columns = _match_header(list(row), number, settings, filled)
        if columns is not None:
            return columns
    return None


def _row(rows: Sequence[Sequence[str]], number: int) -> Sequence[str]:
    return rows[number - 1] if number <= len(rows) else ()


def _lettered(rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        column_letters(number)
        for number in range(1, max((len(row) for row in rows), default=0) + 1)
    ]


@lru_cache(maxsize=20_000)
def column_letters(number: int) -> str:
    """Return the letters of a column number, from 1: 27 is "AA"."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _match_header(
    header: list[str], row: int, settings: CatalogueSettings, filled: Filled
) -> Columns | None:
    own = frozenset(own_columns(header))
    names = ["" if number in own else text for number, text in enumerate(header, start=1)]
    identifier = _choose(names, settings.id_column, ID_HEADERS, row, filled)
    url = _choose(names, settings.url_column, URL_HEADERS, row, filled)
    if identifier is None or url is None or identifier == url:
        return None
    title = _choose(names, settings.title_column, TITLE_HEADERS, row, filled)
    return Columns(
        row,
        identifier,
        url,
        None if title in (identifier, url) else title,
        tuple(unique_headers(header)),
        own,
    )


def _choose(
    names: list[str], wanted: str | None, usual: Sequence[str], row: int, filled: Filled
) -> int | None:
    plain = [plain_header(name) for name in names]
    if wanted is not None:
        exact = [
            number for number, name in enumerate(names, start=1) if name.strip() == wanted.strip()
        ]
        alike = [
            number
            for number, name in enumerate(plain, start=1)
            if name and name == plain_header(wanted)
        ]
        return _fullest(exact or alike, row, filled) or _by_letter(names, wanted, row)
    fitting = [
        number for header in usual for number, name in enumerate(plain, start=1) if name == header
    ]
    return _fullest(fitting, row, filled)


def _fullest(fitting: Sequence[int], row: int, filled: Filled) -> int | None:
    """Return the first of the columns that fit, but none that holds less than half of what another
    does: exports have columns that nobody fills.
    """
    if len(fitting) < 2:
        return next(iter(fitting), None)
    counts = [filled(column, row) for column in fitting]
    return next(
        column for column, count in zip(fitting, counts, strict=True) if 2 * count >= max(counts)
    )


def _by_letter(names: list[str], wanted: str, row: int) -> int | None:
    if not re.fullmatch(r"[A-Z]{1,3}", wanted):
        return None
    number = column_number(wanted)
    return number if number <= len(names) and (row == 0 or names[number - 1]) else None


def unique_headers(header: Sequence[str]) -> list[str]:
    """Return one distinct name per column: a blank one gets its letters, a repeated one a
    number.
    """
    counts: dict[str, int] = {}
    names = []
    for number, text in enumerate(header, start=1):
        name = text or column_letters(number)
        counts[name] = counts.get(name, 0) + 1
        names.append(name if counts[name] == 1 else f"{name} ({counts[name]})")
    return names


def missing_columns(
    name: str, sheets: Sequence[tuple[str, Sequence[Sequence[str]]]], settings: CatalogueSettings
) -> InputError:
    """Return the error for a workbook without the columns: what each sheet has, what comes closest,
    and what to do.
    """
    described = [f"sheet {sheet!r} {_lacking(rows, settings)}" for sheet, rows in sheets]
    letters = next(
        (by_content for _, rows in sheets if (by_content := columns_by_content(rows))), ("…", "…")
    )
    return InputError(
        f"{name} has no sheet with a column for the ids (such as 'product_base_id') and one for "
        f"the picture URLs (such as 'url_thumbnail'): {'; '.join(described)}. Rename the columns, "
        "or name yours with --set catalogue.id_column=… --set catalogue.url_column=…; where there "
        "is no header row, use --set catalogue.header_row=0 --set "
        f"catalogue.id_column={letters[0]} --set catalogue.url_column={letters[1]} (column "
        "letters)."
    )


def _lacking(rows: Sequence[Sequence[str]], settings: CatalogueSettings) -> str:
    header = [text for text in _likely_header(rows) if text]
    if not header:
        return "is empty"
    roles = (
        ("product_base_id", settings.id_column, ID_HEADERS),
        ("url_thumbnail", settings.url_column, URL_HEADERS),
    )
    closest = [
        f"closest to {wanted or usual!r} is {_closest(header, wanted or usual, names)!r}"
        for usual, wanted, names in roles
    ]
    return f"has {_shown(header)}; {', '.join(closest)}"


def columns_by_content(rows: Sequence[Sequence[str]]) -> tuple[str, str] | None:
    """Return the letters of the column that looks like ids and of the one that holds web addresses,
    or None.
    """
    filled = [row for row in rows if any(row)]
    columns = list(zip_longest(*filled, fillvalue=""))
    addresses = [
        number for number, cells in enumerate(columns, start=1) if _share(cells, WEB_ADDRESS) > MOST
    ]
    identifiers = [
        number
        for number, cells in enumerate(columns, start=1)
        if len(set(cells)) > MOST * len(cells) and number not in addresses
    ]
    if len(filled) < 2 or not addresses or not identifiers:
        return None
    return column_letters(identifiers[0]), column_letters(addresses[0])


def _share(cells: Sequence[str], pattern: re.Pattern[str]) -> float:
    return sum(pattern.match(text) is not None for text in cells) / max(1, len(cells))


def _likely_header(rows: Sequence[Sequence[str]]) -> list[str]:
    candidates = [list(row) for row in rows[:SEARCHED_ROWS] if any(row)]
    usual = set(ID_HEADERS) | set(URL_HEADERS) | set(TITLE_HEADERS)

    def telling(row: list[str]) -> tuple[int, int]:
        return sum(plain_header(text) in usual for text in row), min(2, sum(map(bool, row)))

    return max(candidates, key=telling, default=[])


def _closest(header: list[str], wanted: str, usual: Sequence[str]) -> str:
    other_headers = {*ID_HEADERS, *URL_HEADERS, *TITLE_HEADERS} - set(usual)

    def likeness(text: str) -> tuple[bool, float]:
        plain = plain_header(text)
        ratio = max(
            difflib.SequenceMatcher(None, plain, name).ratio()
            for name in (plain_header(wanted), *usual)
        )
        return plain not in other_headers, ratio

    return max(header, key=likeness)


def _shown(header: list[str]) -> str:
    shown = ", ".join(
        repr(text if len(text) <= 60 else f"{text[:57]}…") for text in header[:SHOWN_COLUMNS]
    )
    return shown + (
        f" and {len(header) - SHOWN_COLUMNS} more" if len(header) > SHOWN_COLUMNS else ""
    )
