"""A small line of prices over time, as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT, MARGIN = 96.0, 24.0, 3.0


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
