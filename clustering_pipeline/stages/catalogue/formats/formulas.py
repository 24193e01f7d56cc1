"""Links that a formula builds: HYPERLINK and IMAGE over text, `&`, cell references and CONCATENATE.

Nothing else of a formula is computed. Syntax: ECMA-376 part 1, 18.17; for .ods OpenFormula, whose
references stand in brackets and whose arguments are parted by semicolons.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clustering_pipeline.stages.catalogue.formats.sheets import column_number

LINK_CALL = re.compile(r"\b(?:HYPERLINK|IMAGE)\s*\(", re.IGNORECASE)
# What Google Sheets exports of a function that Excel lacks: its text, quotes doubled.
FOREIGN_CALL = re.compile(r'DUMMYFUNCTION\s*\(\s*"((?:[^"]|"")*)"', re.IGNORECASE)
JOINING_CALLS = ("CONCATENATE", "CONCAT")
MAX_ADDRESS_CHARACTERS = 8192
MAX_DEPTH = 32
_REFERENCE = r"(\$?)([A-Z]{1,3})(\$?)([0-9]{1,7})"
_TOKEN = re.compile(
    rf"""\s*(?:
        "(?P<text>(?:[^"]|"")*)"
        | (?P<bracketed>\[\.{_REFERENCE}\])
        | (?P<reference>{_REFERENCE})(?![\w(!.:\[$])
        | (?P<number>[0-9]+(?:\.[0-9]+)?)(?![\w.])
        | (?:_xlfn\.)?(?P<call>[A-Z]+)\s*\(
        | (?P<mark>[&(),;])
    )""",
    re.VERBOSE | re.IGNORECASE,
)
Position = tuple[int, int]


class FormulaError(ValueError):
    """A formula, or a cell that it refers to, that is not understood; the message says which."""


@dataclass(frozen=True, slots=True)
class LinkFormula:
    """The text of a formula that calls HYPERLINK or IMAGE, and how far (rows, columns) its relative
    references move: cells that are filled down share one text.
    """

    text: str
    rows: int = 0
    columns: int = 0

    def address(self, text_of: Callable[[Position], str]) -> str:
        """Return the address that the first such call is given; `text_of` gives the text of a cell
        by (row, column) from 1.

        Raises FormulaError for anything but text, `&`, cells of the sheet and CONCATENATE.
        """
        foreign = FOREIGN_CALL.search(self.text)
        text = foreign[1].replace('""', '"') if foreign else self.text
        call = LINK_CALL.search(text)
        if call is None:
            raise FormulaError(_shown(text))
        return _Reader(self, text, call.end(), text_of).joined()


def link_formula(text: str) -> LinkFormula | None:
    """Return the formula of a cell when it makes a link, None otherwise."""
    return LinkFormula(text) if LINK_CALL.search(text) else None


class _Reader:
    """Walks over the argument of one call."""

    def __init__(
        self, formula: LinkFormula, text: str, start: int, text_of: Callable[[Position], str]
    ) -> None:
        self._formula, self._text, self._at = formula, text, start
        self._text_of = text_of
        self._depth = 0

    def joined(self) -> str:
        """Return what terms joined by & amount to, up to the end of the argument."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FormulaError("too many brackets")
        parts = [self._term()]
        while self._mark("&"):
            parts.append(self._term())
            if sum(map(len, parts)) > MAX_ADDRESS_CHARACTERS:
                raise FormulaError(f"it makes more than {MAX_ADDRESS_CHARACTERS:,} characters")
        self._depth -= 1
        if not re.compile(r"\s*[,;)]").match(self._text, self._at):
            raise FormulaError(_shown(self._text[self._at :]))
        return "".join(parts)

    def _term(self) -> str:
        start = self._at
        token = _TOKEN.match(self._text, start)
        if token is None:
            raise FormulaError(_shown(self._text[start:]))
        self._at = token.end()
        if token["text"] is not None:
            return token["text"].replace('""', '"')
        if token["bracketed"] or token["reference"]:
            return self._text_of(self._position(token.group(0)))
        if token["number"]:
            return token["number"]
        if token["mark"] == "(":
            return self._closed(self.joined())
        if token["call"] and token["call"].upper() in JOINING_CALLS:
            return self._closed("".join(self._arguments()))
        raise FormulaError(_shown(self._text[start:]))

    def _arguments(self) -> Iterator[str]:
        yield self.joined()
        while self._mark(",") or self._mark(";"):
            yield self.joined()

    def _closed(self, value: str) -> str:
        if not self._mark(")"):
            raise FormulaError(_shown(self._text[self._at :]))
        return value

    def _mark(self, mark: str) -> bool:
        token = _TOKEN.match(self._text, self._at)
        if token is None or token["mark"] != mark:
            return False
        self._at = token.end()
        return True

    def _position(self, reference: str) -> Position:
        match = re.search(_REFERENCE, reference, re.IGNORECASE)
        assert match is not None
        fixed_column, letters, fixed_row, digits = match.groups()
        row = int(digits) + (0 if fixed_row else self._formula.rows)
        column = column_number(letters) + (0 if fixed_column else self._formula.columns)
        if row < 1 or column < 1:
            raise FormulaError(reference)
        return row, column


def _shown(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= 40 else f"{text[:37]}…")
