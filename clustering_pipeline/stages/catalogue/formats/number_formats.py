"""Whole numbers as their cell shows them: identifiers padded with zeros and set between letters.

Only formats of digits and fixed text are known ("00000", "SP"0000, 000-000): what parts thousands,
shows decimals, per cent or a date is how an amount is shown, and no identifier. Syntax: ECMA-376
part 1, 18.8.31.
"""

import itertools
import re
from functools import lru_cache

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
        found = _PART.match(section, position)
        if found is None:
            return None
        position = found.end()
        if found["digit"]:
            parts.append("0" if found["digit"] == "0" else "")
            digits += 1
        else:
            fixed = found["quoted"] or found["escaped"] or found["symbol"] or found["plain"] or ""
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
