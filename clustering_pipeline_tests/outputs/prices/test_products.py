"""The prices of products."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.outputs.prices import (
    ProductPrices,
    money,
    number_format,
    product_prices,
    sparkline,
)
from clustering_pipeline.outputs.prices.products import robust_z
from clustering_pipeline.settings import OfferSettings
from clustering_pipeline.stages.offers import PriceHistory, read_offers
from clustering_pipeline.storage import FileTree
from clustering_pipeline_tests.stages.offers.samples import catalogue_of


def clusters_of(numbers: list[int]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "listing": range(len(numbers)),
            "cluster_id": numbers,
            "status": ["clustered" if number > 0 else "no_match" for number in numbers],
        }
    )


def product_of(rows: list[dict[str, str]], **options: float) -> ProductPrices:
    catalogue = catalogue_of(rows)
    offers, _ = read_offers(catalogue, OfferSettings())
    return product_prices(offers, catalogue, clusters_of([1] * len(rows)), **options)[1]


def prices_of(*prices: str) -> ProductPrices:
    return product_of([{"price": price, "shop": f"s{n}"} for n, price in enumerate(prices)])


def test_lowest_median_highest_and_the_cheapest_seller():
    product = product_of(
        [
            {"price": "120k", "shop": "A", "link": "https://a.vn", "brand": "Hada Labo"},
            {"price": "100k", "shop": "B", "link": "https://b.vn", "brand": "HADA LABO"},
            {"price": "150k", "shop": "b", "brand": "Hada Labo"},
            {"price": "Liên hệ", "shop": "C"},
        ]
    )
    assert (product.lowest, product.median, product.highest) == (100_000, 120_000, 150_000)
    assert product.spread == pytest.approx(0.5)
    assert (product.sellers, product.brand) == (3, "Hada Labo")
    assert product.cheapest is not None
    assert (product.cheapest.seller, product.cheapest.link) == ("B", "https://b.vn")
    assert [offer.seller for offer in product.offers] == ["B", "A", "b", "C"]


def test_prices_are_compared_in_the_currency_of_most():
    product = prices_of("$5", "120.000đ", "130.000đ")
    assert (product.currency, product.lowest, product.highest) == ("VND", 120_000, 130_000)


def test_a_price_far_from_the_others_is_marked_and_nothing_else_changes():
    product = prices_of("100k", "102k", "98k", "450k", "101k")
    assert [offer.price for offer in product.far] == [450_000]
    assert len(product.offers) == 5
    assert prices_of("100k", "450k").far == ()
    assert prices_of("100k", "100k", "120k").far == ()
    assert prices_of("100k", "140k", "190k", "240k").far == ()


def test_the_limit_is_a_setting():
    rows = [{"price": price} for price in ("100k", "100k", "100k", "130k")]
    assert product_of(rows, outlier_z=3.5).far == ()
    assert len(product_of(rows, outlier_z=2).far) == 1


@given(st.lists(st.floats(1, 1e9), min_size=3, max_size=30), st.floats(0.01, 100))
def test_the_currency_of_the_prices_does_not_matter(prices: list[float], rate: float):
    amounts = np.array(prices)
    assert robust_z(amounts * rate) == pytest.approx(robust_z(amounts), abs=1e-6)


def test_the_unit_price_is_the_lowest_in_the_unit_of_most():
    product = product_of(
        [
            {"title": "Kem 50ml", "price": "100k"},
            {"title": "Kem 100ml", "price": "150k"},
            {"title": "Kem 3 miếng", "price": "30k"},
        ]
    )
    assert (product.unit_price, product.unit) == (150_000, "100 ml")


class TestOverTime:
    def product(self, tmp_path, readings: list[dict[str, str]]) -> ProductPrices:
        history = PriceHistory(FileTree(str(tmp_path)), "serum")
        for number, prices in enumerate(readings):
            catalogue = catalogue_of([{"id": i, "price": price} for i, price in prices.items()])
            offers, _ = read_offers(catalogue, OfferSettings())
            moment = datetime(2026, 11, 1 + 7 * number, tzinfo=UTC)
            history.keep(catalogue, offers, f"{number}" * 64, moment)
        clusters = clusters_of([1] * len(catalogue))
        return product_prices(offers, catalogue, clusters, history.readings())[1]

    def test_the_change_is_that_of_the_listings_in_both_readings(self, tmp_path):
        product = self.product(
            tmp_path, [{"a": "100k", "b": "200k"}, {"a": "90k", "b": "180k", "new": "900k"}]
        )
        assert product.change == pytest.approx(-0.1)

    def test_the_trend_has_a_point_a_day(self, tmp_path):
        product = self.product(tmp_path, [{"a": "100k"}, {"a": "90k"}, {"a": "95k"}])
        assert product.trend == (
            (date(2026, 11, 1), 100_000),
            (date(2026, 11, 8), 90_000),
            (date(2026, 11, 15), 95_000),
        )
        assert product.change == pytest.approx(95 / 90 - 1)

    def test_a_first_reading_has_no_change(self, tmp_path):
        product = self.product(tmp_path, [{"a": "100k"}])
        assert product.change is None
        assert sparkline(product.trend) is None


def test_a_line_of_one_price_is_level():
    line = sparkline([(date(2026, 1, day), 5.0) for day in (1, 2, 9)])
    assert line is not None
    assert {point.split(",")[1] for point in line.points.split()} == {"12"}


def test_money_as_people_write_it():
    assert money(99_000, None, "en") == "99,000"
    assert money(12.5, None, "vi") == "12,50"
    assert money(None, "VND", "vi") == ""
    assert money(1200, "CHF", "en") == "1,200.00 CHF"
    assert number_format("VND") == '#,##0\\ "₫"'
