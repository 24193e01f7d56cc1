"""Cells as text: identifiers exactly as written, everything else as a person would read it."""

import datetime
import re
from decimal import Decimal, InvalidOperation
from typing import Any

EXACT_DIGITS = 15
SCIENTIFIC = re.compile(r"[+-]?\d(?:[.,]\d+)?[eE]\+?\d{2,3}$")
# Excel keeps 15 digits of a number that is typed; a 64-bit float has 17 at most.
FLOAT_DIGITS = 17


def cell_text(value: Any, exact: str | None = None) -> str:
    """Return a cell's value as text; `exact` is the number as the file writes it, where a float
    would have lost digits.

    Whole numbers have no decimal point, dates are ISO 8601, text is stripped of surrounding white
    space.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if exact is not None:
        return plain_number(exact)
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return plain_number(repr(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value).strip()


def plain_number(digits: str) -> str:
    """Return a number without exponent and without a fraction of zeros: "1.23E+17" becomes
    "123000000000000000".
    """
    if digits.isdigit():
        return digits
    try:
        number = Decimal(digits)
    except InvalidOperation:
        return digits
    if not number.is_finite() or number.adjusted() > 40:
        return digits
    if number == number.to_integral_value():
        return str(int(number))
    return format(number.normalize(), "f")


def identifier_doubt(value: Any, text: str) -> str | None:
    """Return why an identifier may not be the one that was meant, or None."""
    if isinstance(value, str) and SCIENTIFIC.match(text):
        return f"the id {text} was written in scientific notation, so its last digits are lost"
    if isinstance(value, datetime.date):
        return f"the id {text} is a date: Excel turned what was typed into one"
    if isinstance(value, int | float) and text.isdigit() and _looks_rounded(text):
        return (
            f"the id {text} is a number of more than {EXACT_DIGITS} digits that was rounded, so "
            f"its last digits are lost"
        )
    return None


def _looks_rounded(digits: str) -> bool:
    significant = len(digits.rstrip("0"))
    return len(digits) > EXACT_DIGITS >= significant or len(digits) > FLOAT_DIGITS >= significant
