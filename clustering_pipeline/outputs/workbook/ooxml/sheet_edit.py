"""Adds columns to a worksheet's XML and leaves every other byte of it as it was.

Spreadsheet libraries drop what they do not model: charts, pivots, form controls, extensions. So the
sheet is walked once by expat, which tells where each row and cell begins, and new cells are put
between the old bytes.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from clustering_pipeline.outputs.workbook.ooxml.parts import attribute
from clustering_pipeline.stages.catalogue import column_letters, range_corners, reference_column

# What may stand between the cells of a sheet and its links, by the order of the standard (ECMA-376
# part 1, 18.3.1.99).
BEFORE_HYPERLINKS = {
    *(
        "sheetData",
        "sheetCalcPr",
        "sheetProtection",
        "protectedRanges",
        "scenarios",
        "autoFilter",
        "sortState",
    ),
    *(
        "dataConsolidate",
        "customSheetViews",
        "mergeCells",
        "phoneticPr",
        "conditionalFormatting",
        "dataValidations",
    ),
}
MAX_HYPERLINKS = 65_530
MAX_COLUMN = 16_384


@dataclass
class SheetAdditions:
    """What is put into one sheet: cells by row and column (from 1), column widths in characters,
    links within the workbook.

    `cells[row][column]` is the element of a cell, "" to remove what stands there. A width is set
    only where `is_new`.
    """

    cells: Mapping[int, Mapping[int, str]]
    widths: Mapping[int, float] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Element:
    name: str
    start: int
    end: int


@dataclass
class _Layout:
    """Where things lie in the bytes of a sheet."""

    prefix: str = ""
    top: list[_Element] = field(default_factory=list)
    columns: list[dict[str, str]] = field(default_factory=list)
    links: list[tuple[str, int, int]] = field(default_factory=list)
    edits: list[tuple[int, int, bytes]] = field(default_factory=list)
    rows: set[int] = field(default_factory=set)

    def find(self, name: str) -> _Element | None:
        return next((element for element in self.top if element.name == name), None)


def namespace_prefix(content: bytes) -> str:
    """Return the prefix, with its colon, under which a part's root element stands, or ""."""
    root = re.search(
        rb"<((?:[\w.-]+:)?)[A-Za-z][\w.-]*[\s>/]", re.sub(rb"<[?!][^>]*>", b"", content[:4096])
    )
    return root[1].decode() if root else ""


def add_to_sheet(content: bytes, additions: SheetAdditions) -> bytes:
    """Return the sheet's XML (UTF-8) with the additions; raises ValueError when a row that gets
    cells is not there.
    """
    layout = _walk(content, additions.cells)
    missing = set(additions.cells) - layout.rows
    if missing:
        raise ValueError(f"the sheet has no row {min(missing)}")
    edits = [
        *layout.edits,
        *_dimension_edit(content, layout, additions),
        *_column_edit(layout, additions),
        *_link_edit(content, layout, additions),
    ]
    return apply_edits(content, edits)


def apply_edits(content: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Return `content` with each `(start, end, replacement)`; they must not overlap."""
    pieces, position = [], 0
    for start, end, replacement in sorted(edits, key=lambda edit: edit[:2]):
        pieces += [content[position:start], replacement]
        position = end
    return b"".join([*pieces, content[position:]])


def _walk(content: bytes, cells: Mapping[int, Mapping[int, str]]) -> _Layout:
    walker = _Walker(content, cells)
    parser = walker.parser
    parser.StartElementHandler = walker.start
    parser.EndElementHandler = walker.end
    parser.Parse(content, True)
    return walker.layout


class _Walker:
    """Records where rows and cells lie and what has to be put between them."""

    def __init__(self, content: bytes, cells: Mapping[int, Mapping[int, str]]) -> None:
        self.parser = expat.ParserCreate()
        self.layout = _Layout(prefix=namespace_prefix(content))
        self._content = content
        self._cells = cells
        self._first_column = min((min(row) for row in cells.values() if row), default=MAX_COLUMN)
        self._depth = self._row = self._column = 0
        self._starts: list[int] = []
        self._pending: dict[int, str] = {}
        self._replacement: str | None = None
        prefix = self.layout.prefix
        self._row_name, self._cell_name, self._link_name = (
            f"{prefix}row",
            f"{prefix}c",
            f"{prefix}hyperlink",
        )
        self._column_name = f"{prefix}col"

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._starts.append(self.parser.CurrentByteIndex)
        if name == self._cell_name:
            self._start_cell(attributes)
        elif name == self._row_name:
            self._start_row(attributes)
        elif name == self._column_name and len(self._starts) == 3:
            self.layout.columns.append(attributes)
        elif name == self._link_name:
            self.layout.links.append((attributes.get("ref", ""), self._starts[-1], 0))

    def end(self, name: str) -> None:
        start = self._starts.pop()
        if name == self._cell_name:
            if self._replacement is not None:
                self.layout.edits.append(
                    (start, self._element_end(start), self._replacement.encode())
                )
                self._replacement = None
        elif name == self._row_name:
            self._end_row(start)
        elif name == self._link_name:
            reference, begin, _ = self.layout.links[-1]
            self.layout.links[-1] = (reference, begin, self._element_end(start))
        elif len(self._starts) == 1:
            self.layout.top.append(
                _Element(name.removeprefix(self.layout.prefix), start, self._element_end(start))
            )

    def _start_row(self, attributes: dict[str, str]) -> None:
        self._row = int(attributes.get("r", self._row + 1))
        self._column = 0
        self._pending = dict(self._cells.get(self._row, {}))
        if self._row in self._cells:
            self.layout.rows.add(self._row)
        if self._pending and "spans" in attributes:
            self._drop_spans()

    def _drop_spans(self) -> None:
        start = self._starts[-1]
        spans = re.search(rb"""\sspans\s*=\s*["'][^"']*["']""", self._content[start : start + 4096])
        if spans:
            self.layout.edits.append((start + spans.start(), start + spans.end(), b""))

    def _start_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        self._column = reference_column(reference) if reference else self._column + 1
        if self._pending and self._column >= self._first_column:
            self._put_before(self._column, self._starts[-1])
            self._replacement = self._pending.pop(self._column, None)

    def _put_before(self, column: int, position: int) -> None:
        earlier = sorted(number for number in self._pending if number < column)
        if earlier:
            markup = "".join(self._pending.pop(number) for number in earlier)
            self.layout.edits.append((position, position, markup.encode()))

    def _end_row(self, start: int) -> None:
        if not self._pending:
            return
        markup = "".join(self._pending[number] for number in sorted(self._pending)).encode()
        self._pending = {}
        position = self.parser.CurrentByteIndex
        if self._is_empty_tag(start, position):
            self.layout.edits.append(
                (position - 2, position, b">" + markup + f"</{self._row_name}>".encode())
            )
        else:
            self.layout.edits.append((position, position, markup))

    def _is_empty_tag(self, start: int, position: int) -> bool:
        return (
            self._content[position - 2 : position] == b"/>"
            and self._content.rfind(b"<", start, position) == start
        )

    def _element_end(self, start: int) -> int:
        position = self.parser.CurrentByteIndex
        return (
            position
            if self._is_empty_tag(start, position)
            else self._content.index(b">", position) + 1
        )


def _dimension_edit(
    content: bytes, layout: _Layout, additions: SheetAdditions
) -> list[tuple[int, int, bytes]]:
    element = layout.find("dimension")
    columns = {column for row in additions.cells.values() for column in row}
    if element is None or not columns:
        return []
    reference = re.search(rb"""ref\s*=\s*["']([A-Z0-9:]+)""", content[element.start : element.end])
    first_row, first_column, last_row, last_column = (
        range_corners(reference[1].decode()) if reference else (1, 1, 1, 1)
    )
    corner = f"{column_letters(max(last_column, *columns))}{max(last_row, *additions.cells)}"
    whole = f'<{layout.prefix}dimension ref="{column_letters(first_column)}{first_row}:{corner}"/>'
    return [(element.start, element.end, whole.encode())]


def _column_edit(layout: _Layout, additions: SheetAdditions) -> list[tuple[int, int, bytes]]:
    if not additions.widths:
        return []
    untouched = [
        part for column in layout.columns for part in _without(column, set(additions.widths))
    ]
    added = [
        {"min": str(n), "max": str(n), "width": f"{width:g}", "customWidth": "1"}
        for n, width in additions.widths.items()
    ]
    ordered = sorted([*untouched, *added], key=lambda column: int(column["min"]))
    elements = "".join(f"<{layout.prefix}col {_attributes(column)}/>" for column in ordered)
    markup = f"<{layout.prefix}cols>{elements}</{layout.prefix}cols>".encode()
    existing = layout.find("cols")
    if existing:
        return [(existing.start, existing.end, markup)]
    data = layout.find("sheetData")
    assert data is not None
    return [(data.start, data.start, markup)]


def _attributes(values: Mapping[str, str]) -> str:
    return " ".join(f"{key}={attribute(value)}" for key, value in values.items())


def _without(column: dict[str, str], taken: set[int]) -> list[dict[str, str]]:
    """Return the parts of a range of columns that remain when single ones are taken out of it."""
    first, last = int(column["min"]), int(column["max"])
    edges = [first - 1, *sorted(number for number in taken if first <= number <= last), last + 1]
    pairs = itertools.pairwise(edges)
    return [{**column, "min": str(a + 1), "max": str(b - 1)} for a, b in pairs if b - a > 1]


def _link_edit(
    content: bytes, layout: _Layout, additions: SheetAdditions
) -> list[tuple[int, int, bytes]]:
    replaced = {(row, column) for row, columns in additions.cells.items() for column in columns}
    untouched = [
        content[start:end]
        for reference, start, end in layout.links
        if not _covers_one_of(reference, replaced)
    ]
    added = [_link_markup(layout.prefix, cell, target) for cell, target in additions.links.items()]
    added = added[: max(0, MAX_HYPERLINKS - len(untouched))]
    existing = layout.find("hyperlinks")
    if not added and len(untouched) == len(layout.links):
        return []
    inner = b"".join([*untouched, *added])
    markup = (
        b"<%b>%b</%b>" % (_name(layout, "hyperlinks"), inner, _name(layout, "hyperlinks"))
        if inner
        else b""
    )
    start = existing.start if existing else _links_position(layout)
    return [(start, existing.end if existing else start, markup)]


def _name(layout: _Layout, name: str) -> bytes:
    return f"{layout.prefix}{name}".encode()


def _covers_one_of(reference: str, positions: set[tuple[int, int]]) -> bool:
    try:
        row, column, _, _ = range_corners(reference)
    except ValueError:
        return False
    return (row, column) in positions


def _link_markup(prefix: str, cell: str, target: str) -> bytes:
    return (
        f"<{prefix}hyperlink ref={attribute(cell)} location={attribute(target)} "
        f"display={attribute(target)}/>"
    ).encode()


def _links_position(layout: _Layout) -> int:
    return max(element.end for element in layout.top if element.name in BEFORE_HYPERLINKS)


class _RowPassedError(Exception):
    """Ends the walk: nothing further concerns the row."""


def row_styles(content: bytes, row: int) -> dict[int, int]:
    """Return the format index of every cell of one row that has one, by column number."""
    prefix = namespace_prefix(content)
    row_name, cell_name = f"{prefix}row", f"{prefix}c"
    styles: dict[int, int] = {}
    current = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal current
        if name == row_name:
            current = int(attributes.get("r", current + 1))
            if current > row:
                raise _RowPassedError
        elif name == cell_name and current == row and "s" in attributes and "r" in attributes:
            styles[reference_column(attributes["r"])] = int(attributes["s"])

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(content, True)
    except _RowPassedError:
        return styles
    return styles
