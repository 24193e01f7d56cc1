"""Scores of a labelled workbook against gold labels: a CSV that says which listings are one
product.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from clustering_pipeline.core.delimited import read_delimited
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.own_columns import OWN_PREFIX, is_own_sheet, own_name
from clustering_pipeline.evaluation.scores import score_clusters

GROUP = "group"
Row = tuple[object, ...]
Header = tuple[str, ...]
HEADER_ROWS = 20
# A column of the user's own with our name makes ours carry the prefix; ours is the one that counts.
CLUSTER_COLUMN = "cluster_id"
STATUS_COLUMN = "status"


@dataclass(frozen=True)
class Truth:
    """`groups` maps a picture's file name (key "image") or a `product_base_id` to the name of its
    product; `several` tells the products of those that stand in more than one, of which the last
    counts.
    """

    key: Literal["image", "product_base_id"]
    groups: Mapping[str, str]
    several: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def key_of(self, cell: object) -> str | None:
        """Return the key of a workbook cell, an id or one or several URLs, or None when it is
        unknown here.
        """
        words = (
            [str(cell).strip()]
            if self.key == "product_base_id"
            else map(file_name, str(cell).split())
        )
        return next((word for word in words if word in self.groups), None)


def file_name(url: str) -> str:
    """Return the last segment of the path of a URL, without its query; `http://h/a/0001.jpg?w=80`
    gives `0001.jpg`.
    """
    try:
        path = urlsplit(url.strip(",;|")).path
    except ValueError:
        return ""
    return unquote(path).rsplit("/", 1)[-1]


def read_truth(path: Path) -> Truth:
    """Read the gold labels at `path`; raises InputError when it is missing or is no such table."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"The truth file {path} cannot be read ({error.strerror}). Give the path of a CSV with "
            f"a header."
        ) from error
    return parse_truth(content, str(path))


def parse_truth(content: bytes, name: str) -> Truth:
    r"""Return the gold labels in the bytes of a CSV, delimited and encoded in any usual way, with
    the columns `image,group` or `product_base_id,group`.

    Raises InputError when it has others or no labelled row.

    Example:
        >>> parse_truth(b"image,group\n0001.jpg,anessa\n0002.jpg,anessa\n", "truth.csv").groups
        {'0001.jpg': 'anessa', '0002.jpg': 'anessa'}
    """
    header, rows = read_delimited(content, f"The truth file {name}").by_header()
    key = _key_column(header, name)
    groups: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    for row in rows:
        labelled, group = row.get(key, "").strip(), row.get(GROUP, "").strip()
        if groups.get(labelled, group) != group:
            several.setdefault(labelled, [groups[labelled]]).append(group)
        groups[labelled] = group
    groups.pop("", None)
    if not groups:
        raise InputError(
            f"The truth file {name} has a header and no labelled row. Give a row per listing."
        )
    return Truth(key, groups, several)


def _key_column(header: list[str], name: str) -> Literal["image", "product_base_id"]:
    if GROUP in header and "image" in header:
        return "image"
    if GROUP in header and "product_base_id" in header:
        return "product_base_id"
    raise InputError(
        f"The truth file {name} has the columns {', '.join(header) or 'none'}. It needs "
        "`image,group` (the file name at the end of a picture's URL) or `product_base_id,group`."
    )


@dataclass(frozen=True)
class LabelledRows:
    """The rows of a workbook that a truth knows: the `true` group and the `predicted` label of
    each, and how many rows there are.
    """

    true: list[str]
    predicted: list[object]
    rows: int


def evaluate_workbook(workbook: Path | bytes, truth: Truth) -> dict[str, float | int]:
    """Return the scores of the labelled rows that `truth` knows, and the counts `rows`,
    `rows_scored`, `groups`, `clusters`.

    See `labelled_rows` for what is read and what is refused.
    """
    rows = labelled_rows(workbook, truth)
    return {
        "rows": rows.rows,
        "rows_scored": len(rows.true),
        "groups": len(set(rows.true)),
        "clusters": _count_clusters(rows.predicted),
        **score_clusters(rows.true, rows.predicted),
    }


def labelled_rows(workbook: Path | bytes, truth: Truth) -> LabelledRows:
    """Return the rows of a labelled workbook joined with the truth on the column that holds most of
    its keys.

    `workbook` is a path or the bytes of an .xlsx file. Raises InputError when it cannot be read,
    has no `cluster_id` column, or shares no row with the truth.
    """
    name = str(workbook) if isinstance(workbook, Path) else "the workbook"
    rows, pairs = 0, list[tuple[str, object]]()
    for header, body in _labelled_sheets(_read_sheets(workbook, name), name):
        rows += len(body)
        pairs += _join(header, body, truth)
    if not pairs:
        raise InputError(
            f"No row of {name} has a {truth.key} that is in the truth file ({len(truth.groups)} "
            f"labels, e.g. {next(iter(truth.groups))!r}). Check that both are of the same "
            "catalogue."
        )
    return LabelledRows(
        [truth.groups[key] for key, _ in pairs], [label for _, label in pairs], rows
    )


def _read_sheets(workbook: Path | bytes, name: str) -> list[list[Row]]:
    try:
        source = io.BytesIO(workbook if isinstance(workbook, bytes) else workbook.read_bytes())
        book = openpyxl.load_workbook(source, read_only=True, data_only=True)
        sheets = {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, InvalidFileException) as error:
        raise InputError(
            f"{name} cannot be read as an .xlsx workbook ({error}). Give the workbook that a run "
            f"wrote."
        ) from error
    # Sheets that were added have cluster numbers too, but say nothing of the listings that the
    # person's own do not.
    theirs = [rows for title, rows in sheets.items() if not is_own_sheet(title, _texts(rows[:1]))]
    return theirs or list(sheets.values())


def _texts(rows: Sequence[Row]) -> list[str]:
    return [str(cell).strip() if cell is not None else "" for row in rows for cell in row]


def _labelled_sheets(sheets: Sequence[list[Row]], name: str) -> list[tuple[Header, list[Row]]]:
    tables = [parts for parts in map(_split_at_header, sheets) if parts]
    if not tables:
        raise InputError(
            f"{name} has no column `cluster_id` in the first {HEADER_ROWS} rows of any sheet. Give "
            f"a labelled workbook."
        )
    # A summary sheet has cluster ids too, but only the sheets of listings say how each listing
    # fared.
    of_listings = [parts for parts in tables if STATUS_COLUMN in map(own_name, parts[0])]
    return of_listings or tables


def _split_at_header(rows: list[Row]) -> tuple[Header, list[Row]] | None:
    for index, row in enumerate(rows[:HEADER_ROWS]):
        header = tuple(str(cell).strip() if cell is not None else "" for cell in row)
        if CLUSTER_COLUMN in map(own_name, header):
            return header, rows[index + 1 :]
    return None


def _join(header: Header, body: list[Row], truth: Truth) -> Iterator[tuple[str, object]]:
    named = [column for column, text in enumerate(header) if own_name(text) == CLUSTER_COLUMN]
    cluster = max(named, key=lambda column: header[column].startswith(OWN_PREFIX))
    key_column = _best_column(header, body, truth)
    for row in body:
        key = truth.key_of(row[key_column]) if key_column < len(row) else None
        if key is not None:
            yield key, row[cluster] if cluster < len(row) else None


def _best_column(header: Header, body: list[Row], truth: Truth) -> int:
    def known_cells(column: int) -> int:
        return sum(
            truth.key_of(row[column]) is not None
            for row in body
            if column < len(row) and row[column] is not None
        )

    return max(range(len(header)), key=known_cells)


def _count_clusters(labels: Sequence[object]) -> int:
    return len(
        {str(label) for label in labels if label is not None and str(label) not in ("", "-1")}
    )
