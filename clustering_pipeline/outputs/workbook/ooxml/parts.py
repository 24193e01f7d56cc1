"""A workbook's package as parts that are replaced, added and removed, everything else kept to
the byte; and SpreadsheetML for single cells.
"""

import io
import itertools
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from clustering_pipeline.stages.catalogue import (
    MAX_CELL_CHARACTERS,
    Relationship,
    WorkbookPackage,
    column_letters,
    local_name,
    relationships,
    relationships_part,
    workbook_part,
    worksheets,
)

# XML 1.0 has no way to write these; the office programs drop them too.
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
# Excel reads _x0041_ in a cell as "A": the underscore is coded itself to stay one.
CODED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
# A cell whose text starts so would become a formula as soon as a person edits it, were it not
# marked as quoted text.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
CellValue = str | int | float | bool | date | None
# The day before the first that the serial numbers of a sheet count; its calendar has a 29 February
# 1900.
DAY_ZERO = date(1899, 12, 30)
OWN_OVERRIDE = re.compile(rb'<Override PartName="/xl/[a-z]+/clustering\d+\.xml"[^<>]*/>')
CONTENT_TYPES_PART = "[Content_Types].xml"
# One fixed time for every part, so that equal content gives equal bytes.
PART_TIME = (1980, 1, 1, 0, 0, 0)
STORED_SUFFIXES = (".jpeg", ".jpg", ".png", ".gif")


_OLD = "http://schemas.openxmlformats.org"
_STRICT = "http://purl.oclc.org/ooxml"


@dataclass(frozen=True)
class Dialect:
    """The namespaces of one dialect."""

    main: str
    relationships: str
    drawing: str
    spreadsheet_drawing: str


TRANSITIONAL = Dialect(
    f"{_OLD}/spreadsheetml/2006/main",
    f"{_OLD}/officeDocument/2006/relationships",
    f"{_OLD}/drawingml/2006/main",
    f"{_OLD}/drawingml/2006/spreadsheetDrawing",
)
STRICT = Dialect(
    f"{_STRICT}/spreadsheetml/main",
    f"{_STRICT}/officeDocument/relationships",
    f"{_STRICT}/drawingml/main",
    f"{_STRICT}/drawingml/spreadsheetDrawing",
)
PACKAGE_RELATIONSHIPS = f"{_OLD}/package/2006/relationships"
DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"
STYLES_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"
TABLE_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.table+xml"
DRAWING_TYPE = "application/vnd.openxmlformats-officedocument.drawing+xml"
NO_LINKS = f'{DECLARATION}<Relationships xmlns="{PACKAGE_RELATIONSHIPS}"></Relationships>'.encode()


class Share(float):
    """A share of 1, which a cell shows as a percentage."""


@dataclass(frozen=True)
class CellStyles:
    """Indices of the cell formats that are added to a workbook's style sheet."""

    whole_number: int = 0
    fraction: int = 0
    share: int = 0
    day: int = 0
    truth: int = 0
    text: int = 0
    quoted_text: int = 0
    wrapped_text: int = 0
    wrapped_share: int = 0
    link: int = 0
    header: int = 0

    def of(self, value: CellValue) -> int:
        """Return the format that suits a value."""
        if isinstance(value, bool):
            return self.truth
        if value is None:
            return self.text
        if isinstance(value, int):
            return self.whole_number
        if isinstance(value, Share):
            return self.share
        if isinstance(value, float):
            return self.fraction
        if isinstance(value, date):
            return self.day
        return self.quoted_text if value.startswith(FORMULA_STARTS) else self.text


def cell_markup(prefix: str, row: int, column: int, value: CellValue, style: int) -> str:
    """Return the element of one cell; text is written in place and is never taken for a formula.

    `prefix`: the namespace prefix with its colon, or "". `row` and `column` count from 1.
    """
    start = f'<{prefix}c r="{column_letters(column)}{row}"' + (f' s="{style}"' if style else "")
    if value is None or value == "":
        return f"{start}/>" if style else ""
    if isinstance(value, bool):
        return f'{start} t="b"><{prefix}v>{int(value)}</{prefix}v></{prefix}c>'
    if isinstance(value, date):
        value = (value - DAY_ZERO).days
    if isinstance(value, int | float):
        number = float(value) if isinstance(value, float) else value
        return f"{start}><{prefix}v>{number!r}</{prefix}v></{prefix}c>"
    return (
        f'{start} t="inlineStr"><{prefix}is><{prefix}t '
        f'xml:space="preserve">{escaped(value)}</{prefix}t></{prefix}is></{prefix}c>'
    )


def escaped(text: str) -> str:
    """Return text as it may stand in an element: at most the length of a cell, without what XML
    cannot hold.
    """
    return escape(CODED.sub("_x005F_", within_cell(UNWRITABLE.sub("", text))))


def within_cell(text: str) -> str:
    """Return the beginning of text that a cell of Excel holds: 32,767 units of UTF-16, of which a
    letter beyond U+FFFF, such as most emoji, takes two.
    """
    if len(text) <= MAX_CELL_CHARACTERS // 2:
        return text
    units = text[:MAX_CELL_CHARACTERS].encode("utf-16-le", "ignore")[: 2 * MAX_CELL_CHARACTERS]
    return units.decode("utf-16-le", "ignore")


def attribute(text: str) -> str:
    """Return text as a quoted attribute value."""
    return quoteattr(UNWRITABLE.sub("", text))


class WorkbookParts:
    """The parts of one .xlsx or .xlsm file under change."""

    def __init__(self, content: bytes, name: str, max_uncompressed_megabytes: int) -> None:
        """Raises InputError for a damaged or oversized archive."""
        self.package = WorkbookPackage(content, name, max_uncompressed_megabytes)
        self.changed: dict[str, bytes] = {}
        self.removed: set[str] = set()
        self.workbook_part = workbook_part(self.package)
        self.sheets = {sheet.name: sheet for sheet in worksheets(self.package)}
        root = self.read(self.workbook_part)[:4096]
        self.dialect: Dialect = STRICT if STRICT.main.encode() in root else TRANSITIONAL
        # The parts of pictures that were added, by their bytes.
        self.pictures: dict[bytes, str] = {}
        self._free_numbers: dict[str, int] = {}

    def __contains__(self, part: str) -> bool:
        return part in self.changed or (part in self.package and part not in self.removed)

    @property
    def tabs(self) -> list[str]:
        """The names on all tabs, chart sheets and those just added included."""
        elements = ElementTree.fromstring(self.read(self.workbook_part)).iter()
        return [
            element.get("name", "") for element in elements if local_name(element.tag) == "sheet"
        ]

    def read(self, part: str) -> bytes:
        """Return an XML part as it now stands."""
        return self.changed[part] if part in self.changed else self.package.read_xml(part)

    def write(self, part: str, content: bytes) -> None:
        """Replace or add a part."""
        self.changed[part] = content
        self.removed.discard(part)

    def free_name(self, pattern: str) -> str:
        """Return the first name `pattern.format(1)`, `pattern.format(2)`… that no part has."""
        number = self._free_numbers.get(pattern, 0) + 1
        while pattern.format(number) in self:
            number += 1
        self._free_numbers[pattern] = number
        return pattern.format(number)

    def free_table_number(self) -> int:
        """Return the first number that no table of the workbook has."""
        tables = {
            name
            for name in (*self.package.names, *self.changed)
            if name.startswith("xl/tables/") and name in self
        }
        used = {
            int(number)
            for name in tables
            for number in re.findall(rb'<(?:\w+:)?table\b[^>]*\bid="(\d+)"', self.read(name))
        }
        return next(number for number in itertools.count(1) if number not in used)

    def links(self, part: str) -> list[Relationship]:
        """Return the links that `part` had in the original."""
        return relationships(self.package, part)

    def add_link(self, part: str, kind: str, target: str) -> str:
        """Add a link from `part` to the part `target` and return its identifier."""
        return self.add_links(part, kind, [target])[0]

    def add_links(self, part: str, kind: str, targets: Sequence[str]) -> list[str]:
        """Add links of one kind, such as "worksheet", to other parts; return their identifiers."""
        return self._add_links(
            part, kind, [f"Target={attribute('/' + target)}" for target in targets]
        )

    def add_outer_links(self, part: str, urls: Sequence[str]) -> dict[str, str]:
        """Add links to web addresses and return their identifiers by address."""
        targets = [f'Target={attribute(url)} TargetMode="External"' for url in urls]
        return (
            dict(zip(urls, self._add_links(part, "hyperlink", targets), strict=True))
            if urls
            else {}
        )

    def _add_links(self, part: str, kind: str, targets: Sequence[str]) -> list[str]:
        rels = relationships_part(part)
        content = self.read(rels) if rels in self else NO_LINKS
        used = set(re.findall(rb'\bId\s*=\s*["\'](?:rIdCp)(\d+)["\']', content))
        first = max(map(int, used), default=0) + 1
        identifiers = [f"rIdCp{first + offset}" for offset in range(len(targets))]
        kind = f"{self.dialect.relationships}/{kind}"
        elements = (
            f'<Relationship Id="{name}" Type="{kind}" {target}/>'
            for name, target in zip(identifiers, targets, strict=True)
        )
        self.write(rels, insert_before_end(content, "".join(elements).encode(), "Relationships"))
        return identifiers

    def remove_links(self, part: str) -> None:
        """Drop all links of a part, and the parts that nothing else leads to."""
        before = self._reachable()
        rels = relationships_part(part)
        if rels not in self:
            return
        self.write(rels, NO_LINKS)
        for orphan in before - self._reachable():
            self._remove(orphan)

    def _remove(self, part: str) -> None:
        for name in (part, relationships_part(part)):
            self.changed.pop(name, None)
            self.removed.add(name)
        types = self.read(CONTENT_TYPES_PART)
        override = rb"<(?:\w+:)?Override\b[^>]*PartName=\"/%b\"[^>]*/>" % re.escape(part.encode())
        self.write(CONTENT_TYPES_PART, re.sub(override, b"", types))

    def _reachable(self) -> set[str]:
        reachable: set[str] = set()
        waiting = [""]
        while waiting:
            part = waiting.pop()
            if self.changed.get(relationships_part(part)) == NO_LINKS:
                continue
            targets = {
                link.target
                for link in self.links(part)
                if not link.is_external and link.target in self
            } - reachable
            reachable |= targets
            waiting += targets
        return reachable

    def add_tab(self, name: str, identifier: str) -> None:
        """Append a sheet to the workbook's tabs."""
        content = self.read(self.workbook_part)
        used = [int(number) for number in re.findall(rb'\bsheetId="(\d+)"', content)]
        prefix = re.search(rb"<(\w+:)?sheets\b", content)
        start = (prefix[1] or b"").decode() if prefix else ""
        element = (
            f'<{start}sheet xmlns:cpr="{self.dialect.relationships}" name={attribute(name)} '
            f'sheetId="{max(used, default=0) + 1}" '
            f'cpr:id="{identifier}"/>'
        )
        self.write(self.workbook_part, insert_before_end(content, element.encode(), "sheets"))

    def add_content_type(self, part: str, content_type: str) -> None:
        """Declare the type of a part; a part that is declared already stays as it is."""
        content = self.read(CONTENT_TYPES_PART)
        if f'PartName="/{part}"'.encode() not in content:
            element = (
                f"<Override PartName={attribute('/' + part)} "
                f"ContentType={attribute(content_type)}/>"
            ).encode()
            # Ours stand last in one order, whichever of them was replaced by a later run.
            ours = sorted([element, *OWN_OVERRIDE.findall(content)])
            content = OWN_OVERRIDE.sub(b"", content)
            self.write(CONTENT_TYPES_PART, insert_before_end(content, b"".join(ours), "Types"))

    def add_default_type(self, suffix: str, content_type: str) -> None:
        """Declare the type of all parts with a file suffix."""
        content = self.read(CONTENT_TYPES_PART)
        root = re.search(rb"<(?:\w+:)?Types\b[^>]*>", content)
        if root and not re.search(rb'Extension="%b"' % suffix.encode(), content, re.IGNORECASE):
            element = f'<Default Extension="{suffix}" ContentType="{content_type}"/>'.encode()
            self.write(CONTENT_TYPES_PART, content[: root.end()] + element + content[root.end() :])

    def packed(self) -> bytes:
        """Return the bytes of the workbook, its parts in their old order and new ones at the
        end.
        """
        buffer = io.BytesIO()
        names = [part for part in self.package.names if part not in self.removed]
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for part in dict.fromkeys([*names, *self.changed]):
                info = zipfile.ZipInfo(part, PART_TIME)
                info.compress_type = (
                    zipfile.ZIP_STORED if part.endswith(STORED_SUFFIXES) else zipfile.ZIP_DEFLATED
                )
                archive.writestr(
                    info, self.changed[part] if part in self.changed else self.package.read(part)
                )
        return buffer.getvalue()


def insert_before_end(content: bytes, addition: bytes, element: str) -> bytes:
    """Return XML with `addition` before the last end tag of `element`; an empty element is opened
    first.
    """
    name = element.encode()
    end = max(
        (match.start() for match in re.finditer(rb"</(?:\w+:)?%b\s*>" % name, content)), default=-1
    )
    if end >= 0:
        return content[:end] + addition + content[end:]
    empty = re.search(rb"<((?:\w+:)?%b)\b([^>]*)/>" % name, content)
    if empty is None:
        raise ValueError(f"there is no element {element}")
    opened = b"<%b%b>%b</%b>" % (empty[1], empty[2], addition, empty[1])
    return content[: empty.start()] + opened + content[empty.end() :]
