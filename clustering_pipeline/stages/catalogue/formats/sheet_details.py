"""What the value reader does not tell about an .xlsx sheet: exact digits, links, merged and hidden
cells, uncomputed formulas.

Values come from calamine, which turns every number into a 64-bit float and keeps no formats. One
streaming pass over the sheet's XML adds what matters for identifiers and pictures, and finds the
used rectangle before calamine allocates it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pyexpat import ExpatError, XMLParserType
from xml.parsers import expat

from clustering_pipeline.stages.catalogue.formats.sheets import (
    SheetPart,
    WorkbookPackage,
    damaged,
    local_name,
    parse_xml,
    range_corners,
    reference_column,
    relationships,
    workbook_part,
)

EXACT_DIGITS = 15
LINK_FORMULA = re.compile(r"""\b(?:HYPERLINK|IMAGE)\s*\(\s*"((?:[^"]|"")+)\"""", re.IGNORECASE)
ZERO_PADDED = re.compile(r"0{2,}$")
Position = tuple[int, int]
Corners = tuple[int, int, int, int]


@dataclass
class SheetDetails:
    """Facts about single cells, keyed by (row, column) from 1; only the cells where there is
    something to say.
    """

    numbers: dict[Position, str] = field(default_factory=dict)
    links: dict[Position, str] = field(default_factory=dict)
    uncomputed: set[Position] = field(default_factory=set)
    hidden_rows: set[int] = field(default_factory=set)
    merged: list[Corners] = field(default_factory=list)
    last_row: int = 0
    last_column: int = 0


def padded_styles(package: WorkbookPackage) -> dict[str, int]:
    """Return the cell styles whose number format pads with zeros ("00000"), with the digits they
    show.
    """
    part = next(
        (
            link.target
            for link in relationships(package, workbook_part(package))
            if link.kind == "styles"
        ),
        None,
    )
    if part is None or part not in package:
        return {}
    root = parse_xml(package, part)
    widths = {}
    for element in root.iter():
        if local_name(element.tag) == "numFmt" and ZERO_PADDED.match(element.get("formatCode", "")):
            widths[element.get("numFmtId")] = len(element.get("formatCode", ""))
    formats = next((element for element in root if local_name(element.tag) == "cellXfs"), None)
    styles = enumerate(formats if formats is not None else ())
    return {
        str(index): widths[style.get("numFmtId")]
        for index, style in styles
        if style.get("numFmtId") in widths
    }


def sheet_details(
    package: WorkbookPackage, sheet: SheetPart, padded: dict[str, int]
) -> SheetDetails:
    """Return the details of one sheet; raises InputError when its XML is damaged."""
    scanner = _Scanner(padded)
    try:
        scanner.parse(package.read_xml(sheet.part))
    except (ExpatError, ValueError, KeyError) as error:
        raise damaged(package.name, error) from error
    outside = {
        link.identifier: link.target
        for link in relationships(package, sheet.part)
        if link.is_external
    }
    details = scanner.details
    check_overlap(package.name, [corners for corners, _ in scanner.hyperlinks], details)
    check_overlap(package.name, details.merged, details)
    for (first_row, column, last_row, _), identifier in scanner.hyperlinks:
        if identifier in outside:
            for row in range(first_row, min(last_row, details.last_row) + 1):
                details.links.setdefault((row, column), outside[identifier])
    return details


def check_overlap(name: str, ranges: Sequence[Corners], details: SheetDetails) -> None:
    """Raise InputError when ranges that must not overlap cover more rows than the sheet has cells:
    a trap for readers.
    """
    covered = sum(max(0, min(last, details.last_row) - first + 1) for first, _, last, _ in ranges)
    if covered > (details.last_row + 1) * (details.last_column + 1):
        raise damaged(name, ValueError("its merged cells or links overlap"))


class _Scanner:
    """Collects the details while expat walks over the sheet."""

    def __init__(self, padded: dict[str, int]) -> None:
        self.details = SheetDetails()
        self.hyperlinks: list[tuple[Corners, str]] = []
        self._padded = padded
        self._row = self._column = 0
        self._style = self._kind = self._formula = self._value = ""
        self._text: list[str] | None = None

    def parse(self, content: bytes) -> None:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = lambda name, attributes: self._start_root(parser, name)
        parser.Parse(content, True)

    def _start_root(self, parser: XMLParserType, root: str) -> None:
        prefix = root[: -len("worksheet")]
        starts: dict[str, Callable[[dict[str, str]], None]] = {
            f"{prefix}row": self._start_row,
            f"{prefix}c": self._start_cell,
            f"{prefix}v": self._start_text,
            f"{prefix}f": self._start_text,
            f"{prefix}t": self._start_text,
            f"{prefix}mergeCell": lambda attributes: self.details.merged.append(
                range_corners(attributes["ref"])
            ),
            f"{prefix}hyperlink": self._start_hyperlink,
        }
        ends: dict[str, Callable[[], None]] = {
            f"{prefix}v": self._end_value,
            f"{prefix}t": self._end_value,
            f"{prefix}f": self._end_formula,
            f"{prefix}c": self._end_cell,
        }

        def start(name: str, attributes: dict[str, str]) -> None:
            handler = starts.get(name)
            if handler:
                handler(attributes)

        def end(name: str) -> None:
            handler = ends.get(name)
            if handler:
                handler()

        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.CharacterDataHandler = self._add_text

    def _start_row(self, attributes: dict[str, str]) -> None:
        self._row = int(attributes.get("r", self._row + 1))
        self._column = 0
        if attributes.get("hidden") in ("1", "true"):
            self.details.hidden_rows.add(self._row)

    def _start_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        self._column = reference_column(reference) if reference else self._column + 1
        self._style = attributes.get("s", "")
        self._kind = attributes.get("t", "n")
        self._formula = self._value = ""

    def _start_text(self, attributes: dict[str, str]) -> None:
        self._text = []

    def _add_text(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end_value(self) -> None:
        self._value += "".join(self._text or ())
        self._text = None

    def _end_formula(self) -> None:
        self._formula = "".join(self._text or ()) or "shared"
        self._text = None

    def _start_hyperlink(self, attributes: dict[str, str]) -> None:
        identifier = next((value for key, value in attributes.items() if key.endswith(":id")), "")
        self.hyperlinks.append((range_corners(attributes["ref"]), identifier))

    def _end_cell(self) -> None:
        # calamine makes room for every typed cell, also where its text is empty.
        if not self._value and not self._formula and self._kind == "n":
            return
        position = (self._row, self._column)
        if self._column > self.details.last_column:
            self.details.last_column = self._column
        self.details.last_row = max(self.details.last_row, self._row)
        if self._formula:
            self._note_formula(position)
        if self._kind == "n" and self._value:
            self._note_number(position)

    def _note_formula(self, position: Position) -> None:
        link = LINK_FORMULA.search(self._formula)
        if link:
            self.details.links[position] = link[1].replace('""', '"')
        elif not self._value:
            self.details.uncomputed.add(position)

    def _note_number(self, position: Position) -> None:
        width = self._padded.get(self._style)
        if width and self._value.isdigit():
            self.details.numbers[position] = self._value.zfill(width)
        elif len(self._value) > EXACT_DIGITS:
            self.details.numbers[position] = self._value
