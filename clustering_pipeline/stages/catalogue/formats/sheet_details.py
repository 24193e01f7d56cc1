"""What the value reader does not tell about an .xlsx sheet: exact digits, numbers as shown, links,
pictures, errors, merged and hidden cells, formulas without a result.

Values come from calamine, which turns every number into a 64-bit float and keeps no formats. One
streaming pass over the sheet's XML adds what matters for identifiers and pictures, and finds the
used rectangle before calamine allocates it.
"""

import itertools
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pyexpat import ExpatError, XMLParserType
from xml.parsers import expat

from clustering_pipeline.stages.catalogue.addresses import LinkFormula, link_formula
from clustering_pipeline.stages.catalogue.embedded_images import (
    NAMED_PICTURE,
    floating_pictures,
    named_pictures,
    placed_pictures,
)
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

# Whole numbers as their cell shows them: identifiers padded with zeros and set between letters.
# Only formats of digits and fixed text are known ("00000", "SP"0000, 000-000): what parts
# thousands, shows decimals, per cent or a date is how an amount is shown, and no identifier.
# Syntax: ECMA-376 part 1, 18.8.31.
_PART = re.compile(
    r"""
    "(?P<quoted>[^"]*)" | \\(?P<escaped>.) | \[\$(?P<symbol>[^\]-]*)[^\]]*\] | \[[^\]]*\]
    | _. | \*. | (?P<digit>[0#]) | (?P<plain>[-+()/:!^&'~{}<>=\s])
    """,
    re.VERBOSE | re.DOTALL,
)
MAX_CODE_CHARACTERS = 255


@lru_cache(maxsize=1024)
def number_format(code: str) -> "NumberFormat | None":
    """Return the format of a number format code that pads whole numbers or puts letters before
    them, None for any other: what stands behind a number is mostly its unit.
    """
    section = _first_section(code) if len(code) <= MAX_CODE_CHARACTERS else ""
    parts: list[str] = []
    digits = 0
    position = 0
    while position < len(section):
        token = _PART.match(section, position)
        if token is None:
            return None
        position = token.end()
        if token["digit"]:
            parts.append("0" if token["digit"] == "0" else "")
            digits += 1
        else:
            fixed = token["quoted"] or token["escaped"] or token["symbol"] or token["plain"] or ""
            parts += [f"'{letter}" for letter in fixed]
    pads = sum(part == "0" for part in parts) > 1
    before = itertools.takewhile(lambda part: part.startswith("'"), parts)
    is_named = any(part[1].isalpha() for part in before)
    return NumberFormat(tuple(parts)) if digits and (pads or is_named) else None


def _first_section(code: str) -> str:
    """Return the part of a format code that is for positive numbers."""
    end = re.match(r'(?:"[^"]*"|\\.|[^;"\\])*', code, re.DOTALL)
    return end[0] if end else code


class NumberFormat:
    """How one format shows a whole number: its parts are `'x` for a letter that is always shown,
    "0" for a digit that is shown as zero where the number has none, "" for one that is not.
    """

    def __init__(self, parts: tuple[str, ...]) -> None:
        self._parts = parts

    def show(self, digits: str) -> str:
        """Return a number of 0 or more, given by its digits, as it is shown."""
        left = list(digits)
        shown: list[str] = []
        places = sum(not part.startswith("'") for part in self._parts)
        for part in reversed(self._parts):
            if part.startswith("'"):
                shown.append(part[1])
                continue
            places -= 1
            # The first place takes all digits that remain.
            taken, left = (left, []) if places == 0 else (left[-1:], left[:-1])
            shown.append("".join(taken) or part)
        return "".join(reversed(shown)).strip()


EXACT_DIGITS = 15
_NO_MEMORY = expat.errors.codes[expat.errors.XML_ERROR_NO_MEMORY]
Position = tuple[int, int]
Corners = tuple[int, int, int, int]


@dataclass
class SheetDetails:
    """Facts about single cells, keyed by (row, column) from 1; only the cells where there is
    something to say, and the used rectangle and the `characters` of all cells.

    `numbers`: as written or shown, where a float would lose digits or letters. `formulas`: those
    that make a link. `faults`: why a cell without a value has none. `pictures`: the part of the
    workbook that holds the picture in a cell, "" where it is missing.
    """

    numbers: dict[Position, str] = field(default_factory=dict)
    links: dict[Position, str] = field(default_factory=dict)
    formulas: dict[Position, LinkFormula] = field(default_factory=dict)
    faults: dict[Position, str] = field(default_factory=dict)
    pictures: dict[Position, str] = field(default_factory=dict)
    hidden_rows: set[int] = field(default_factory=set)
    merged: list[Corners] = field(default_factory=list)
    last_row: int = 0
    last_column: int = 0
    characters: int = 0


NO_RESULT = (
    "is a formula that was never computed, or whose result is empty: open the workbook in Excel "
    "and save it"
)


def error_fault(error: str) -> str:
    """Return what is said of a cell with an error such as #N/A."""
    return f"holds the error {error}: mend its formula, or type the value"


@dataclass(frozen=True)
class WorkbookFacts:
    """What the cells of all sheets refer to: lengths of shared texts, formats of numbers by style,
    parts of pictures by the number of a value (Excel) or by a name (WPS).
    """

    lengths: Sequence[int]
    formats: Mapping[str, NumberFormat]
    placed: Mapping[str, str]
    named: Mapping[str, str]


def workbook_facts(package: WorkbookPackage) -> WorkbookFacts:
    """Return what the cells of a workbook refer to; raises InputError when it is damaged."""
    return WorkbookFacts(
        _shared_lengths(package),
        _shown_styles(package),
        placed_pictures(package),
        named_pictures(package),
    )


def _shared_lengths(package: WorkbookPackage) -> Sequence[int]:
    """Return how many characters each of the texts has that cells share."""
    links = relationships(package, workbook_part(package))
    part = next((link.target for link in links if link.kind == "sharedStrings"), None)
    lengths = array("L")
    if part is None or part not in package:
        return lengths
    is_text = False

    def start(name: str, _attributes: dict[str, str]) -> None:
        nonlocal is_text
        local = name.rpartition(":")[2]
        is_text = local == "t"
        if local == "si":
            lengths.append(0)

    def end(_name: str) -> None:
        nonlocal is_text
        is_text = False

    def text(content: str) -> None:
        if is_text and lengths:
            lengths[-1] += len(content)

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = text
    parse_stream(parser, package, part)
    return lengths


def parse_stream(parser: XMLParserType, package: WorkbookPackage, part: str) -> None:
    """Let expat walk over a part without holding it; raises InputError when it is damaged."""
    try:
        for piece in package.stream_xml(part):
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except (ExpatError, ValueError, KeyError) as error:
        if isinstance(error, ExpatError) and error.code == _NO_MEMORY:
            raise MemoryError from error
        raise damaged(package.name, error) from error


def _shown_styles(package: WorkbookPackage) -> dict[str, NumberFormat]:
    """Return the formats of the cell styles that show whole numbers otherwise than by their
    digits.
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
    codes = {
        element.get("numFmtId"): element.get("formatCode", "")
        for element in root.iter()
        if local_name(element.tag) == "numFmt"
    }
    styles = next((element for element in root if local_name(element.tag) == "cellXfs"), None)
    formats = {
        str(index): number_format(codes.get(style.get("numFmtId"), ""))
        for index, style in enumerate(styles if styles is not None else ())
    }
    return {index: shown for index, shown in formats.items() if shown is not None}


def sheet_details(package: WorkbookPackage, sheet: SheetPart, facts: WorkbookFacts) -> SheetDetails:
    """Return the details of one sheet; raises InputError when its XML is damaged."""
    scanner = _Scanner(facts)
    try:
        scanner.parse(package, sheet.part)
        floating = floating_pictures(package, sheet)
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
    for position, part in floating.items():
        details.pictures.setdefault(position, part)
    return details


def check_new(name: str, sheet: str, before: Mapping[str, SheetDetails]) -> None:
    """Raise InputError for a second sheet of one name, which a reader would take for the first."""
    if sheet in before:
        raise damaged(name, ValueError(f"two of its sheets are called {sheet!r}"))


def check_overlap(name: str, ranges: Sequence[Corners], details: SheetDetails) -> None:
    """Raise InputError when ranges that must not overlap cover more rows than the sheet has cells:
    a trap for readers.
    """
    covered = sum(max(0, min(last, details.last_row) - first + 1) for first, _, last, _ in ranges)
    if covered > (details.last_row + 1) * (details.last_column + 1):
        raise damaged(name, ValueError("its merged cells or links overlap"))


class _Scanner:
    """Collects the details while expat walks over the sheet."""

    def __init__(self, facts: WorkbookFacts) -> None:
        self.details = SheetDetails()
        self.hyperlinks: list[tuple[Corners, str]] = []
        self._facts = facts
        self._shared: dict[str, tuple[Position, LinkFormula]] = {}
        self._row = self._column = 0
        self._style = self._kind = self._formula = self._value = self._mark = ""
        self._group = ""
        self._text: list[str] | None = None

    def parse(self, package: WorkbookPackage, part: str) -> None:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = lambda name, _attributes: self._start_root(parser, name)
        parse_stream(parser, package, part)

    def _start_root(self, parser: XMLParserType, root: str) -> None:
        prefix = root[: -len("worksheet")]
        starts: dict[str, Callable[[dict[str, str]], None]] = {
            f"{prefix}row": self._start_row,
            f"{prefix}c": self._start_cell,
            f"{prefix}v": self._start_text,
            f"{prefix}f": self._start_formula,
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
        self._mark = attributes.get("vm", "")
        self._formula = self._value = self._group = ""

    def _start_text(self, _attributes: dict[str, str]) -> None:
        self._text = []

    def _start_formula(self, attributes: dict[str, str]) -> None:
        self._group = attributes.get("si", "") if attributes.get("t") == "shared" else ""
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
        self._count_characters()
        if self._mark and self._mark in self._facts.placed:
            self.details.pictures[position] = self._facts.placed[self._mark]
        elif self._kind == "e" and self._value:
            self.details.faults[position] = error_fault(self._value)
        if self._formula:
            self._note_formula(position)
        if self._kind == "n" and self._value:
            self._note_number(position)

    def _count_characters(self) -> None:
        lengths = self._facts.lengths
        if self._kind != "s":
            self.details.characters += len(self._value)
        elif self._value.isdigit() and int(self._value) < len(lengths):
            self.details.characters += lengths[int(self._value)]

    def _note_formula(self, position: Position) -> None:
        formula = self._link_formula(position)
        picture = NAMED_PICTURE.search(self._formula)
        if formula:
            self.details.formulas[position] = formula
        elif picture:
            self.details.pictures[position] = self._facts.named.get(picture[1], "")
        elif not self._value:
            self.details.faults[position] = (
                "is a formula whose result is empty" if self._kind == "str" else NO_RESULT
            )

    def _link_formula(self, position: Position) -> LinkFormula | None:
        """Return the link that the formula makes; a cell that was filled down has that of the first
        one, moved.
        """
        formula = link_formula(self._formula)
        if formula and self._group:
            self._shared[self._group] = (position, formula)
        if formula or self._group not in self._shared:
            return formula
        (row, column), shared = self._shared[self._group]
        return LinkFormula(shared.text, position[0] - row, position[1] - column)

    def _note_number(self, position: Position) -> None:
        shown = self._facts.formats.get(self._style)
        if shown and self._value.isdigit():
            self.details.numbers[position] = shown.show(self._value)
        elif len(self._value) > EXACT_DIGITS:
            self.details.numbers[position] = self._value
