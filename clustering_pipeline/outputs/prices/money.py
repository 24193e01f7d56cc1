"""Amounts of money and shares as a person reads them, on a page and in a cell."""

from typing import Literal

# Currencies whose smallest unit is the whole.
WHOLE = frozenset({"VND", "JPY", "KRW", "IDR"})
SYMBOLS = {"VND": "₫", "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "THB": "฿", "KRW": "₩"}
# Without a currency, amounts from here on are written without cents.
LARGE = 1000


def money(value: float | None, currency: str | None, language: Literal["en", "vi"]) -> str:
    """Return an amount with its currency; "" where there is none.

    Example:
        >>> money(1299000, "VND", "vi"), money(1299000, "VND", "en"), money(12.5, "USD", "en")
        ('1.299.000 ₫', '1,299,000 ₫', '12.50 $')
    """
    if value is None:
        return ""
    text = f"{value:,.{_decimals(value, currency)}f}"
    if language == "vi":
        text = text.translate(str.maketrans(",.", ".,"))
    return f"{text} {SYMBOLS.get(currency, currency)}" if currency else text


def _decimals(value: float, currency: str | None) -> int:
    if currency is None:
        return 0 if value >= LARGE or float(value).is_integer() else 2
    return 0 if currency in WHOLE else 2


def number_format(currency: str | None, *, has_cents: bool = False) -> str:
    """Return the number format by which a cell shows an amount; `has_cents`: whether amounts
    without a currency have any.
    """
    if currency is None:
        return "#,##0.00" if has_cents else "#,##0"
    digits = "#,##0" if currency in WHOLE else "#,##0.00"
    return f'{digits}\\ "{SYMBOLS.get(currency, currency)}"'
