"""Prices as a person reads them: amounts of money on a page and in a cell, one product's offers on
a line and its price over time, and the prices of a category as a table to take away.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import openpyxl
from openpyxl.cell import WriteOnlyCell
from openpyxl.utils import get_column_letter

from clustering_pipeline.core.delimited import guarded
from clustering_pipeline.outputs.prices.products import Offer, ProductPrices

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


# Units of the strip of offers: the line runs from one margin to the other.
STRIP_WIDTH, STRIP_MARGIN = 100.0, 2.0
# Pixels of the line over time.
WIDTH, HEIGHT, MARGIN = 96.0, 24.0, 3.0


@dataclass(frozen=True)
class Dot:
    """An offer's place on the line, from 0 to 100."""

    x: float
    offer: Offer


@dataclass(frozen=True)
class PriceStrip:
    """Offers on a line that is even in ratios, and where the median is."""

    dots: tuple[Dot, ...]
    median: float


def price_strip(product: ProductPrices) -> PriceStrip | None:
    """Return the strip of a product's prices in its currency; None for fewer than two."""
    priced = [
        (one, one.price)
        for one in product.offers
        if one.price is not None and one.currency == product.currency
    ]
    if len(priced) < 2 or not product.lowest or not product.highest or not product.median:
        return None
    low, high = math.log(product.lowest), math.log(product.highest)

    def place(price: float) -> float:
        part = 0.5 if high == low else (math.log(price) - low) / (high - low)
        return round(STRIP_MARGIN + (STRIP_WIDTH - 2 * STRIP_MARGIN) * part, 2)

    return PriceStrip(tuple(Dot(place(price), one) for one, price in priced), place(product.median))


@dataclass(frozen=True)
class Sparkline:
    """The points of a line in a box of 96 × 24, and its last point."""

    points: str
    last: tuple[float, float]


def sparkline(trend: Sequence[tuple[date, float]]) -> Sparkline | None:
    """Return the line of prices by their days, evenly scaled from the lowest to the highest; None
    for fewer than two days.

    Example:
        >>> sparkline([(date(2026, 11, 1), 100), (date(2026, 11, 8), 90)]).points
        '3,3 93,21'
    """
    if len(trend) < 2:
        return None
    days = [(day - trend[0][0]).days for day, _ in trend]
    prices = [price for _, price in trend]
    low, high = min(prices), max(prices)
    places = [
        (
            round(MARGIN + (WIDTH - 2 * MARGIN) * day / days[-1], 2),
            round(HEIGHT / 2 if high == low else _down(price, low, high), 2),
        )
        for day, price in zip(days, prices, strict=True)
    ]
    return Sparkline(" ".join(f"{x:g},{y:g}" for x, y in places), places[-1])


def _down(price: float, low: float, high: float) -> float:
    return MARGIN + (HEIGHT - 2 * MARGIN) * (high - price) / (high - low)


COLUMNS = (
    "cluster_id",
    "name",
    "brand",
    "listings",
    "sellers",
    "lowest_price",
    "median_price",
    "highest_price",
    "currency",
    "spread",
    "cheapest_seller",
    "cheapest_link",
    "lowest_unit_price",
    "unit",
    "change",
    "sold",
    "far_prices",
)
AMOUNTS = ("lowest_price", "median_price", "highest_price", "lowest_unit_price")
SHARES = ("spread", "change")
WIDTHS = {"name": 46, "cheapest_seller": 26, "cheapest_link": 40}
DECIMALS = 4


def price_rows(products: Iterable[ProductPrices], names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return a row per product with the columns `COLUMNS`; None where nothing is known. `names`: by
    cluster number.
    """
    return [_row(product, names.get(product.cluster_id, "")) for product in products]


def _row(product: ProductPrices, name: str) -> dict[str, Any]:
    cheapest = product.cheapest
    values = (
        product.cluster_id,
        name or None,
        product.brand,
        len(product.offers),
        product.sellers or None,
        product.lowest,
        product.median,
        product.highest,
        product.currency,
        _rounded(product.spread),
        cheapest.seller if cheapest else None,
        cheapest.link if cheapest else None,
        product.unit_price,
        product.unit,
        _rounded(product.change),
        product.sold,
        len(product.far),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)


def prices_csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the rows of `price_rows` as UTF-8 with a byte order mark; text that a spreadsheet
    would take for a formula gets an apostrophe.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(_csv_text(row[name]) for name in COLUMNS)
    return buffer.getvalue().encode("utf-8-sig")


def _csv_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return guarded(value) if isinstance(value, str) else str(value)


def prices_xlsx(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the rows of `price_rows` as a workbook with a frozen header and a filter; text stays
    text whatever it begins with.
    """
    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet("Prices")
    sheet.freeze_panes = "A2"
    for number, name in enumerate(COLUMNS, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = WIDTHS.get(name, 14)
    sheet.append(COLUMNS)
    count = 1
    for row in rows:
        sheet.append([_cell(sheet, name, row) for name in COLUMNS])
        count += 1
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(COLUMNS))}{count}"
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


def _cell(sheet: Any, name: str, row: Mapping[str, Any]) -> WriteOnlyCell:
    value = row[name]
    cell = WriteOnlyCell(sheet, value)
    if isinstance(value, str):
        cell.data_type = "s"
        cell.quotePrefix = value != guarded(value)
    elif name in AMOUNTS and value is not None:
        cell.number_format = number_format(row["currency"], has_cents=not float(value).is_integer())
    elif name in SHARES:
        cell.number_format = "0%"
    return cell
