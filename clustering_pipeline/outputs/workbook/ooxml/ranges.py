"""Tables and filters of a sheet, widened over our columns so that sorting by an arrow in their
header moves our labels with their rows.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from clustering_pipeline.outputs.workbook.ooxml.parts import (
    WorkbookParts,
    attribute,
    insert_before_end,
)
from clustering_pipeline.outputs.workbook.ooxml.sheet_edit import namespace_prefix
from clustering_pipeline.stages.catalogue import column_letters, range_corners

REFERENCE = re.compile(rb"""(\bref\s*=\s*["'])([^"']+)""")
FILTER = re.compile(rb"<(?:\w+:)?autoFilter\b[^>]*>")
FILTER_NAME = "_xlnm._FilterDatabase"
# A table of one of these kinds follows a query or a map, which says what its columns are.
BOUND = re.compile(rb"""\btableType\s*=\s*["'](?:queryTable|xml)["']""")


@dataclass(frozen=True)
class OwnColumns:
    """Our columns on one sheet: the number and header of each, the row of the headers, and the
    column of the ids.
    """

    headers: Mapping[int, str]
    header_row: int
    identifier: int

    def beyond(self, reference: str) -> list[int] | None:
        """Return our columns right of a range with the listings, None when it is no such range."""
        first_row, first, last_row, last = range_corners(reference)
        if first_row != self.header_row or last_row == first_row:
            return None
        if not first <= self.identifier <= last:
            return None
        return sorted(number for number in self.headers if number > last)


def widen_ranges(parts: WorkbookParts, sheet: str, columns: OwnColumns) -> Iterator[str]:
    """Widen the table and the filter that hold the listings of a sheet (named as on its tab); yield
    what is said of those that cannot be: other columns stand between, or a query fills them.

    What ranges cover is told apart by their corners alone; damaged ones are left as they are.
    """
    part = parts.sheets[sheet].part
    for link in parts.links(part):
        if link.kind == "table" and link.target in parts:
            content = parts.read(link.target)
            widened = _widened_table(content, columns)
            if widened is None:
                yield _left_behind("The table", sheet)
            elif widened != content:
                parts.write(link.target, widened)
    yield from _widen_filter(parts, sheet, columns)


def _left_behind(what: str, sheet: str) -> str:
    return (
        f"{what} on sheet {sheet!r} does not reach to these columns: before you sort, select all "
        f"columns, since its arrows would leave them behind"
    )


def _widened(reference: str, columns: OwnColumns) -> str | None:
    """Return a range as wide as our columns; None when other columns stand between."""
    try:
        beyond = columns.beyond(reference)
        first_row, first, last_row, last = range_corners(reference)
    except ValueError:
        return reference
    if not beyond:
        return reference
    if beyond != list(range(last + 1, last + 1 + len(beyond))):
        return None
    return f"{column_letters(first)}{first_row}:{column_letters(beyond[-1])}{last_row}"


def _widened_table(content: bytes, columns: OwnColumns) -> bytes | None:
    root = re.search(rb"<(?:\w+:)?table\b[^>]*>", content)
    reference = REFERENCE.search(root[0]) if root else None
    if root is None or reference is None or b'headerRowCount="0"' in root[0]:
        return content
    old = reference[2].decode()
    new = _widened(old, columns)
    if new is None or (new != old and BOUND.search(root[0])):
        return None
    if new == old:
        return content
    added = [columns.headers[number] for number in columns.beyond(old) or ()]
    return _with_columns(_with_reference(content, old, new), added)


def _with_reference(content: bytes, old: str, new: str) -> bytes:
    """Return a table's XML with its range, and that of its filter, widened; a filter leaves out a
    row of totals.
    """
    first, _, last, _ = range_corners(old)
    right = re.match(r"[A-Z]+", new.split(":")[1])
    assert right is not None

    def widened(match: re.Match[bytes]) -> bytes:
        row, left, end, column = range_corners(match[2].decode())
        if row != first or end > last or column != range_corners(old)[3]:
            return match[0]
        return match[1] + f"{column_letters(left)}{row}:{right[0]}{end}".encode()

    start = re.search(rb"<(?:\w+:)?table\b[^>]*>", content)
    assert start is not None
    head = REFERENCE.sub(widened, start[0], count=1)
    body = FILTER.sub(
        lambda match: REFERENCE.sub(widened, match[0], count=1), content[start.end() :], count=1
    )
    return content[: start.start()] + head + body


def _with_columns(content: bytes, names: list[str]) -> bytes:
    prefix = namespace_prefix(content)
    used = [
        int(number) for number in re.findall(rb'<(?:\w+:)?tableColumn\b[^>]*\bid="(\d+)"', content)
    ]
    elements = "".join(
        f'<{prefix}tableColumn id="{number}" name={attribute(name)}/>'
        for number, name in enumerate(names, start=max(used, default=0) + 1)
    )
    content = insert_before_end(content, elements.encode(), "tableColumns")
    return re.sub(
        rb'(<(?:\w+:)?tableColumns\b[^>]*\bcount=")\d+"',
        rb'\g<1>%d"' % (len(used) + len(names)),
        content,
        count=1,
    )


def _widen_filter(parts: WorkbookParts, sheet: str, columns: OwnColumns) -> Iterator[str]:
    part = parts.sheets[sheet].part
    content = parts.read(part)
    filter_element = FILTER.search(content, max(0, content.rfind(b"sheetData>")))
    reference = REFERENCE.search(filter_element[0]) if filter_element else None
    if filter_element is None or reference is None:
        return
    old = reference[2].decode()
    new = _widened(old, columns)
    if new is None:
        yield _left_behind("The filter", sheet)
    elif new != old:
        start = filter_element.start() + reference.start(2)
        end = start + len(reference[2])
        parts.write(part, content[:start] + new.encode() + content[end:])
        _rename_filter(parts, old, new)


def _rename_filter(parts: WorkbookParts, old: str, new: str) -> None:
    """Widen the hidden name under which Excel keeps the range of a filter."""
    content = parts.read(parts.workbook_part)
    name = rb'(<(?:\w+:)?definedName\b[^>]*\bname="%b"[^>]*>[^<]*!)%b(?=<)' % (
        FILTER_NAME.encode(),
        re.escape(_absolute(old).encode()),
    )
    parts.write(
        parts.workbook_part,
        re.sub(name, lambda match: match[1] + _absolute(new).encode(), content),
    )


def _absolute(reference: str) -> str:
    return re.sub(r"([A-Z]+)(\d+)", r"$\1$\2", reference)
