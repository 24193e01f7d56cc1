"""Prices drawn for a page: one product's offers side by side on a line, and its price over time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from clustering_pipeline.outputs.prices.products import Offer, ProductPrices

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
