"""Addresses in cells: as people write them, turned into some that can be fetched, and as formulas
build them: HYPERLINK and IMAGE over text, `&`, cell references and CONCATENATE.

Nothing else of a formula is computed. Syntax: ECMA-376 part 1, 18.17; for .ods OpenFormula, whose
references stand in brackets and whose arguments are parted by semicolons.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from yarl import URL

from clustering_pipeline.stages.catalogue.formats.sheets import column_number

MAX_URL_CHARACTERS = 8192
# What a cell of Excel holds.
MAX_CELL_CHARACTERS = 32_767
MAX_WRAPPINGS = 4
# An address begins where a scheme or "//" follows the start, white space, a separator or a quote.
ADDRESS = re.compile(r"""(?<![^\s,;|"'])(?:https?:/|//|data:|file:)""", re.IGNORECASE)
# A comma may be part of an address: it only separates when white space and a host follow.
HOST_FOLLOWS = re.compile(r"[,;|]\s+(?=[\w-]+(?:\.[\w-]+)+/)")
LINE_BREAKS = re.compile(r"[\r\n\t]+")
SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):(?!\d)")
HOST_AND_PATH = re.compile(r"(?:[\w-]+\.)+[^\W\d_]{2,}(?::\d{1,5})?[/?#]")
# What names and numbers of hosts are made of once they are in punycode.
HOST = re.compile(r"[A-Za-z0-9._:%-]+")
WINDOWS_PATH = re.compile(r"[a-zA-Z]:[\\/]|\\\\")
AROUND = "\"'“”‘’,;| \u200b\ufeff\u00a0"
BRACKETS = {"<": ">", "(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class UrlCell:
    """The addresses of one cell, and what was wrong with the pieces that are none."""

    urls: tuple[str, ...]
    problems: tuple[str, ...] = ()


def parse_url_cell(text: str) -> UrlCell:
    """Return the distinct http(s) URLs of a cell in order, normalised.

    Paths are percent-encoded, hosts are in punycode, and a missing scheme is https. A cell may hold
    several addresses, separated by line breaks, commas, semicolons or bars, or as a JSON list.

    Example:
        >>> parse_url_cell("//cdn.shop.vn/a b.jpg | https://cdn.shop.vn/2.png")
        UrlCell(urls=('https://cdn.shop.vn/a%20b.jpg', 'https://cdn.shop.vn/2.png'), problems=())
    """
    if len(text) > MAX_CELL_CHARACTERS:
        return UrlCell(
            (),
            (
                f"the cell holds {len(text):,} characters, over the limit of "
                f"{MAX_CELL_CHARACTERS:,}: leave addresses out",
            ),
        )
    urls: list[str] = []
    problems: list[str] = []
    for piece in split_cell(text):
        try:
            urls.append(normalise_url(piece))
        except ValueError as error:
            problems.append(str(error))
    return UrlCell(tuple(dict.fromkeys(urls)), tuple(problems))


def split_cell(text: str) -> list[str]:
    """Return the addresses in a cell as they are written, without quotes and blanks around them."""
    listed = _json_list(text.strip())
    pieces = listed if listed is not None else _split_text(text.replace("\\/", "/"))
    cleaned = (_unwrapped(piece.replace("\\/", "/")) for piece in pieces)
    return [piece for piece in cleaned if piece]


def _split_text(text: str) -> list[str]:
    starts = [match.start() for match in ADDRESS.finditer(text)]
    parts = (text[begin:end] for begin, end in pairwise([0, *starts, len(text)]))
    lines = (line for part in parts for line in LINE_BREAKS.split(part))
    return [piece for line in lines for piece in HOST_FOLLOWS.split(line)]


def _unwrapped(piece: str) -> str:
    text = piece.strip().strip(AROUND)
    for _ in range(MAX_WRAPPINGS):
        if len(text) > 1 and BRACKETS.get(text[0]) == text[-1]:
            text = text[1:-1].strip().strip(AROUND)
    return "" if text in BRACKETS else text


def _json_list(text: str) -> list[str] | None:
    if not text.startswith("["):
        return None
    for candidate in (text, text.replace("'", '"')):
        try:
            return _strings(json.loads(candidate))
        except (ValueError, RecursionError):
            continue
    return None


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key in ("url", "src", "link") for text in _strings(value.get(key))]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return []


def normalise_url(text: str) -> str:
    """Return one address as an absolute, percent-encoded http(s) URL.

    Raises ValueError with a sentence for what is no address of a picture on the web: a path,
    another scheme, no host.

    Example:
        >>> normalise_url("shop.vn/ảnh/1.jpg")
        'https://shop.vn/%E1%BA%A3nh/1.jpg'
    """
    shown = text if len(text) <= 80 else f"{text[:77]}…"
    if len(text) > MAX_URL_CHARACTERS:
        raise ValueError(f"{shown!r} is longer than {MAX_URL_CHARACTERS:,} characters")
    if WINDOWS_PATH.match(text):
        raise ValueError(
            f"{shown!r} is a path on a computer, not a web address; give the folder with "
            f"--images-from DIR"
        )
    address = _with_scheme(text, shown)
    try:
        url = URL(address)
        host, normal = url.raw_host, str(url)
        # Of brackets in odd places yarl makes addresses that it reads otherwise the next time.
        is_stable = str(URL(normal)) == normal
    except (ValueError, UnicodeError, IndexError) as error:
        raise ValueError(f"{shown!r} is not a valid web address ({error})") from error
    if not host:
        raise ValueError(f"{shown!r} names no host")
    if not (is_stable and HOST.fullmatch(host)):
        raise ValueError(f"{shown!r} names {host!r}, which no host can be called")
    return normal


def _with_scheme(text: str, shown: str) -> str:
    if text.startswith("//"):
        return f"https:{text}"
    scheme = SCHEME.match(text)
    if scheme is None:
        if HOST_AND_PATH.match(text):
            return f"https://{text}"
        raise ValueError(
            f"{shown!r} is not a web address; if it names a file, give its folder with "
            f"--images-from DIR"
        )
    if scheme[1].lower() not in ("http", "https"):
        raise ValueError(f"{shown!r} is not an http or https address")
    rest = text[scheme.end() :].lstrip("/\\")
    return f"{scheme[1].lower()}://{rest}"


LINK_CALL = re.compile(r"\b(?:HYPERLINK|IMAGE)\s*\(", re.IGNORECASE)
# What Google Sheets exports of a function that Excel lacks: its text, quotes doubled.
FOREIGN_CALL = re.compile(r'DUMMYFUNCTION\s*\(\s*"((?:[^"]|"")*)"', re.IGNORECASE)
JOINING_CALLS = ("CONCATENATE", "CONCAT")
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
            if sum(map(len, parts)) > MAX_URL_CHARACTERS:
                raise FormulaError(f"it makes more than {MAX_URL_CHARACTERS:,} characters")
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
