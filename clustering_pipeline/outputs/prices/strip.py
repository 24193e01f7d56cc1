"""The prices of one product side by side on a line, as a drawing for a page."""

import math
from dataclasses import dataclass

from clustering_pipeline.outputs.prices.products import Offer, ProductPrices

# Units of the drawing: the line runs from one margin to the other.
WIDTH, MARGIN = 100.0, 2.0


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
        return round(MARGIN + (WIDTH - 2 * MARGIN) * part, 2)

    return PriceStrip(tuple(Dot(place(price), one) for one, price in priced), place(product.median))
