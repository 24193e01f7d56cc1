"""What each product costs: the prices of its listings, the cheapest, those that stand out, and how
they moved.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.stages.offers import Reading

# Scales the median absolute deviation to the standard deviation of a normal distribution.
MAD_TO_SIGMA = 1.4826
# Sellers of one product differ by so much (log price) as a matter of course.
LEAST_SIGMA = 0.1
# Of fewer prices none is far from the others.
FEWEST_PRICES = 3


@dataclass(frozen=True)
class Offer:
    """One listing's offer, as people are shown it; what is not known is None."""

    listing: int
    product_base_id: str
    price: float | None
    price_high: float | None
    list_price: float | None
    discount: float | None
    currency: str | None
    seller: str | None
    place: str | None
    brand: str | None
    sold: int | None
    rating: float | None
    reviews: int | None
    link: str | None
    observed_on: date | None
    unit_price: float | None
    unit: str | None
    unread: str | None
    is_far: bool = False


@dataclass(frozen=True)
class ProductPrices:
    """The offers of one cluster, the cheapest first, and what they amount to.

    Prices are those in `currency`, the one of most of its offers; of a range the lowest counts.
    `spread`: by what share of the lowest price the highest is above it. `change`: by what share the
    listings that were there at the last reading are dearer now (the median). `trend`: the median
    price on each day that is known.
    """

    cluster_id: int
    offers: tuple[Offer, ...]
    currency: str | None = None
    lowest: float | None = None
    median: float | None = None
    highest: float | None = None
    unit_price: float | None = None
    unit: str | None = None
    change: float | None = None
    trend: tuple[tuple[date, float], ...] = field(default=())

    @property
    def spread(self) -> float | None:
        """By what share of the lowest price the highest is above it."""
        return None if not self.lowest or self.highest is None else self.highest / self.lowest - 1

    @property
    def cheapest(self) -> Offer | None:
        """The offer with the lowest price."""
        priced = (one for one in self.offers if one.price is not None)
        return next((one for one in priced if one.currency == self.currency), None)

    @property
    def sellers(self) -> int:
        """How many sellers are named."""
        return len({one.seller.casefold() for one in self.offers if one.seller})

    @property
    def brand(self) -> str | None:
        """The brand that most offers name."""
        ordered = sorted(self.offers, key=lambda one: one.listing)
        return _commonest([one.brand for one in ordered if one.brand])

    @property
    def sold(self) -> int | None:
        """How many were sold in all, where offers say so."""
        counts = [one.sold for one in self.offers if one.sold is not None]
        return sum(counts) if counts else None

    @property
    def far(self) -> tuple[Offer, ...]:
        """The offers whose price is far from the others'."""
        return tuple(one for one in self.offers if one.is_far)


def robust_z(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many robust standard deviations each log price is from their median, float64
    (count,).

    The deviation is the median absolute deviation, scaled, and at least what sellers differ by as a
    matter of course (Iglewicz and Hoaglin, How to detect and handle outliers, 1993).

    Example:
        >>> robust_z(np.array([100, 102, 98, 450])).round(1).tolist()
        [-0.1, 0.1, -0.3, 14.9]
    """
    logs = np.log(prices)
    away = logs - np.median(logs)
    sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(away))), LEAST_SIGMA)
    return np.asarray(away / sigma, np.float64)


def product_prices(
    offers: pd.DataFrame,
    catalogue: pd.DataFrame,
    clusters: pd.DataFrame,
    readings: Sequence[Reading] = (),
    *,
    outlier_z: float = 3.5,
) -> dict[int, ProductPrices]:
    """Return the prices of every cluster by its number, in the order of the numbers.

    `offers`, `catalogue`, `clusters`: manifests. `readings`: the prices of each reading, the
    present one last. `outlier_z`: from which robust z-score a price is far from its cluster's.
    """
    grouped = clusters[clusters["status"] == "clustered"][["listing", "cluster_id"]]
    members = grouped.merge(offers, on="listing").merge(
        catalogue[["listing", "product_base_id"]], on="listing"
    )
    trends, changes = _trends(members, readings), _changes(members, readings)
    by_number: dict[int, list[Offer]] = {}
    for record in _records(members):
        by_number.setdefault(int(record.pop("cluster_id")), []).append(_offer(record))
    return {
        number: _product(number, by_number[number], trends, changes, outlier_z)
        for number in sorted(by_number)
    }


def listing_offers(offers: pd.DataFrame, catalogue: pd.DataFrame) -> dict[int, Offer]:
    """Return every listing's offer by its number, without a mark of those that are far."""
    rows = offers.merge(catalogue[["listing", "product_base_id"]], on="listing")
    return {int(record["listing"]): _offer(record) for record in _records(rows)}


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


def _offer(record: Mapping[str, Any]) -> Offer:
    values = {name: record[name] for name in Offer.__dataclass_fields__ if name in record}
    day = values["observed_on"]
    values["observed_on"] = date.fromisoformat(day) if day else None
    values["product_base_id"] = values["product_base_id"] or ""
    return Offer(**values)


def _commonest(values: Sequence[str]) -> str | None:
    spellings: dict[str, list[str]] = {}
    for value in values:
        spellings.setdefault(value.casefold(), []).append(value)
    return max(spellings.values(), key=len)[0] if spellings else None


def _product(
    number: int,
    offers: Sequence[Offer],
    trends: Mapping[tuple[int, str], tuple[tuple[date, float], ...]],
    changes: Mapping[tuple[int, str], float],
    outlier_z: float,
) -> ProductPrices:
    currency = _commonest([one.currency or "" for one in offers if one.price is not None]) or None
    compared = [one for one in offers if one.price is not None and one.currency == currency]
    prices = np.array([one.price for one in compared], np.float64)
    far = _far(compared, prices, outlier_z)
    marked = [_marked(one) if one.listing in far else one for one in offers]
    ordered = sorted(
        marked,
        key=lambda one: (
            one.price is None or one.currency != currency,
            one.price or math.inf,
            one.listing,
        ),
    )
    if not len(prices):
        return ProductPrices(number, tuple(ordered))
    unit = _unit(compared)
    return ProductPrices(
        number,
        tuple(ordered),
        currency,
        float(prices.min()),
        float(np.median(prices)),
        float(prices.max()),
        *unit,
        change=changes.get((number, currency or "")),
        trend=trends.get((number, currency or ""), ()),
    )


def _far(offers: Sequence[Offer], prices: NDArray[np.float64], outlier_z: float) -> frozenset[int]:
    if len(prices) < FEWEST_PRICES:
        return frozenset()
    away = np.abs(robust_z(prices)) > outlier_z
    return frozenset(one.listing for one, is_far in zip(offers, away, strict=True) if is_far)


def _marked(offer: Offer) -> Offer:
    return Offer(**{**vars(offer), "is_far": True})


def _unit(offers: Sequence[Offer]) -> tuple[float | None, str | None]:
    """Return the lowest price of a unit, of those in the unit that most offers are sold by."""
    unit = _commonest([one.unit for one in offers if one.unit])
    prices = [one.unit_price for one in offers if one.unit == unit and one.unit_price]
    return (min(prices), unit) if prices else (None, None)


def _observed(members: pd.DataFrame, readings: Sequence[Reading]) -> pd.DataFrame:
    """Return the prices of all readings with the cluster that each listing is in now; `reading`
    counts from 0.
    """
    frames = [reading.prices.assign(reading=number) for number, reading in enumerate(readings)]
    whose = members.drop_duplicates("product_base_id")[["product_base_id", "cluster_id"]]
    frame = pd.concat(frames, ignore_index=True).merge(whose, on="product_base_id")
    return frame.assign(currency=frame["currency"].astype(object).fillna(""))


def _trends(
    members: pd.DataFrame, readings: Sequence[Reading]
) -> dict[tuple[int, str], tuple[tuple[date, float], ...]]:
    if not readings:
        return {}
    observed = _observed(members, readings).drop_duplicates(
        ["product_base_id", "observed_on"], keep="last"
    )
    series: dict[tuple[int, str], list[tuple[date, float]]] = {}
    grouped = observed.groupby(["cluster_id", "currency", "observed_on"], sort=True)["price"]
    for number, currency, day, price in grouped.median().reset_index().itertuples(index=False):
        series.setdefault((int(number), currency), []).append((date.fromisoformat(day), price))
    return {key: tuple(points) for key, points in series.items()}


def _changes(members: pd.DataFrame, readings: Sequence[Reading]) -> dict[tuple[int, str], float]:
    if len(readings) < 2:
        return {}
    observed = _observed(members, readings[-2:]).sort_values("observed_on", kind="stable")
    latest = observed.drop_duplicates(["product_base_id", "reading"], keep="last")
    before, now = latest[latest["reading"] == 0], latest[latest["reading"] == 1]
    both = before.merge(now, on=["product_base_id", "cluster_id", "currency"])
    both["ratio"] = np.log(both["price_y"] / both["price_x"])
    middle = both.groupby(["cluster_id", "currency"])["ratio"].median().reset_index()
    return {
        (int(number), currency): math.expm1(ratio)
        for number, currency, ratio in middle.itertuples(index=False)
    }
