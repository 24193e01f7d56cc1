"""The offers of a category: which columns hold prices, sellers and the like, and what is read from
them.
"""

import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.settings import CatalogueSettings, OfferSettings
from clustering_pipeline.stages.catalogue import read_workbook
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.offers import PriceHistory, read_offers, run
from clustering_pipeline.stages.offers.stage import ROLES, find_offer_columns
from clustering_pipeline.stages.offers.values import unit_amount
from clustering_pipeline.storage import BlobStore, FeatureTables, FileTree
from clustering_pipeline_tests.stages.offers.samples import catalogue_of

ROW = {
    "id": "1",
    "title": "Sữa chống nắng Anessa 60ml",
    "Giá bán": "480.000đ",
    "Giá gốc": "600.000đ",
    "Gian hàng": " Beauty   House ",
    "Đã bán": "Đã bán 1,2k",
    "Đánh giá": "4,9",
    "Link": "https://shop.vn/1",
    "Ngày": "05/11/2026",
}


def offer_of(**changed: str) -> pd.Series:
    return read_offers(catalogue_of([ROW | changed]), OfferSettings())[0].iloc[0]


def test_a_row_says_everything_of_its_offer():
    offer = offer_of()
    assert offer[["price", "list_price", "discount", "sold", "rating"]].tolist() == [
        480_000,
        600_000,
        0.2,
        1200,
        4.9,
    ]
    assert offer[["currency", "seller", "link", "observed_on", "unit"]].tolist() == [
        "VND",
        "Beauty House",
        "https://shop.vn/1",
        "2026-11-05",
        "100 ml",
    ]
    assert offer["unit_price"] == 800_000
    assert pd.isna(offer["unread"])


def test_what_cannot_be_read_stays_as_text_and_is_counted():
    rows = [ROW, ROW | {"Giá bán": "Liên hệ", "Đã bán": "nhiều"}, ROW | {"Giá bán": "-"}]
    offers, facts = read_offers(catalogue_of(rows), OfferSettings())
    assert json.loads(offers["unread"][1]) == {"price": "Liên hệ", "sold": "nhiều"}
    assert pd.isna(offers["price"][1])
    assert pd.isna(offers["unread"][2])
    assert (facts["read_price"], facts["unread_price"], facts["unread"]) == (1, 1, 2)
    assert "price from 'Giá bán'" in str(facts["columns"])


def test_a_range_has_both_ends_and_no_price_of_a_unit():
    offer = offer_of(**{"Giá bán": "480.000 - 520.000đ"})
    assert (offer["price"], offer["price_high"]) == (480_000, 520_000)
    assert pd.isna(offer["unit_price"])


@pytest.mark.parametrize("link", ["javascript:alert(1)", "file:///etc/passwd", "https://a b", "x"])
def test_a_link_that_no_browser_should_follow_is_text(link: str):
    offer = offer_of(Link=link)
    assert pd.isna(offer["link"])
    assert json.loads(offer["unread"]) == {"link": link}


def test_the_only_currency_named_is_that_of_the_others_too():
    rows = [{"price": "120.000đ"}, {"price": "99000"}]
    assert read_offers(catalogue_of(rows), OfferSettings())[0]["currency"].tolist() == ["VND"] * 2
    rows.append({"price": "$5"})
    offers = read_offers(catalogue_of(rows), OfferSettings())[0]
    assert offers["currency"].fillna("").tolist() == ["VND", "", "USD"]
    named = OfferSettings(currency="VND")
    assert read_offers(catalogue_of(rows), named)[0]["currency"][1] == "VND"


def test_the_marks_of_one_currency_say_nothing_of_another():
    rows = [{"price": "100.000đ"}, {"price": "$5.50"}, {"price": "$1.299"}, {"price": "90.000"}]
    prices = read_offers(catalogue_of(rows), OfferSettings())[0]["price"].tolist()
    assert prices == [100_000, 5.5, 1.299, 90_000]


def test_a_column_of_shares_and_one_of_percents():
    shares = [{"Giảm giá": "-0.15"}, {"Giảm giá": "0.5"}]
    percents = [{"Giảm giá": "-15"}, {"Giảm giá": "0.5"}]
    assert read_offers(catalogue_of(shares), OfferSettings())[0]["discount"].tolist() == [0.15, 0.5]
    assert read_offers(catalogue_of(percents), OfferSettings())[0]["discount"].tolist() == [
        0.15,
        0.005,
    ]


def test_each_sheet_has_columns_of_its_own():
    one = catalogue_of([{"Giá": "120k"}], "Tiki")
    other = catalogue_of([{"price": "99k"}], "Lazada").assign(listing=1)
    offers, _ = read_offers(pd.concat([one, other], ignore_index=True), OfferSettings())
    assert offers["price"].tolist() == [120_000, 99_000]


def test_a_table_without_offers_has_none():
    offers, facts = read_offers(catalogue_of([{"title": "Kem 50ml"}]), OfferSettings())
    assert offers.drop(columns="listing").isna().all(axis=None)
    assert facts["columns"] == "none"


@pytest.mark.parametrize(
    ("title", "amount"),
    [
        ("Kem 50g", (0.5, "100 g")),
        ("Dầu gội 1,2 lít", (12.0, "100 ml")),
        ("Combo 2 chai dầu gội 650ml", (13.0, "100 ml")),
        ("Mặt nạ 25ml hộp 10 miếng", (10.0, "piece")),
        ("Kem 50ml tặng gel 10ml", None),
        ("Combo 2 hộp x 3", None),
        ("Son đỏ", None),
    ],
)
def test_units_of_a_title(title: str, amount: tuple[float, str] | None):
    assert unit_amount(title) == amount


def test_a_workbook_with_vietnamese_headers_gives_offers():
    content = (
        "Mã sản phẩm,Link ảnh,Tên sản phẩm,Giá bán,Shop,Đã bán\n"
        '1,http://a.vn/1.jpg,Kem 50g,"1.299.000đ",Nhà Đẹp,"Đã bán 1,2k"\n'
    ).encode()
    listings = read_workbook(content, "shop.csv", CatalogueSettings()).listings
    offer = read_offers(listings, OfferSettings())[0].iloc[0]
    assert offer[["price", "seller", "sold"]].tolist() == [1_299_000, "Nhà Đẹp", 1200]


class TestHistory:
    def prices(self, history: PriceHistory) -> list[list[float]]:
        return [reading.prices["price"].tolist() for reading in history.readings()]

    def test_readings_come_in_order_and_a_source_read_again_replaces_itself(self, tmp_path):
        history = PriceHistory(FileTree(str(tmp_path)), "serum")
        for day, price, source in [(1, "100k", "a"), (8, "90k", "b"), (15, "95k", "b")]:
            catalogue = catalogue_of([{"price": price}])
            offers, _ = read_offers(catalogue, OfferSettings())
            history.keep(catalogue, offers, source * 64, datetime(2026, 11, day, tzinfo=UTC))
        assert self.prices(history) == [[100_000], [95_000]]
        assert [reading.time.day for reading in history.readings()] == [1, 8]
        assert history.readings()[1].prices["observed_on"].tolist() == ["2026-11-08"]

    def test_the_lowest_price_of_an_id_on_several_rows_is_kept(self, tmp_path):
        history = PriceHistory(FileTree(str(tmp_path)), "serum")
        catalogue = catalogue_of([{"id": "7", "price": "100k"}, {"id": "7", "price": "80k"}])
        history.keep(catalogue, read_offers(catalogue, OfferSettings())[0], "a" * 64)
        assert self.prices(history) == [[80_000]]

    def test_a_damaged_reading_is_set_aside(self, tmp_path):
        history = PriceHistory(FileTree(str(tmp_path)), "serum")
        catalogue = catalogue_of([{"price": "100k"}])
        history.keep(catalogue, read_offers(catalogue, OfferSettings())[0], "a" * 64)
        (file,) = (tmp_path / "prices" / "serum").glob("*.parquet")
        file.write_bytes(b"no table")
        assert history.readings() == []
        assert history.readings() == []

    def test_the_stage_keeps_what_it_read(self, tmp_path):
        context = StageContext(
            BlobStore(str(tmp_path / "blobs")),
            FeatureTables(str(tmp_path / "features")),
            tmp_path / "state",
            category="serum",
        )
        catalogue = catalogue_of([{"price": "100k"}])
        for _ in range(2):
            result = run(catalogue=catalogue, settings=OfferSettings(), context=context)
        assert result.manifest["price"].tolist() == [100_000]
        assert self.prices(PriceHistory(context.blobs.files, "serum")) == [[100_000]]


CELLS = {0: "120.000", 1: "99k"}


def headers_of(*headers: str, **settings: str) -> dict[str, str]:
    found = find_offer_columns(
        dict.fromkeys(headers, CELLS), OfferSettings.model_validate({"columns": settings})
    )
    return {role: column.header for role, column in found.items()}


@pytest.mark.parametrize(
    ("header", "role"),
    [
        ("Giá", "price"),
        ("Giá bán", "price"),
        ("GIÁ BÁN (VNĐ)", "price"),
        ("Giá bán (đ)", "price"),
        ("Giá (nghìn đồng)", "price"),
        ("Price", "price"),
        ("price_vnd", "price"),
        ("Giá gốc", "list_price"),
        ("Giá niêm yết (₫)", "list_price"),
        ("Original price", "list_price"),
        ("Giảm giá", "discount"),
        ("discount", "discount"),
        ("Gian hàng", "seller"),
        ("Tên shop", "seller"),
        ("Seller name", "seller"),
        ("Nơi bán", "place"),
        ("location", "place"),
        ("Đã bán", "sold"),
        ("solds", "sold"),
        ("Đánh giá", "rating"),
        ("ratings", "rating"),
        ("Số đánh giá", "reviews"),
        ("Link sản phẩm", "link"),
        ("product_url", "link"),
        ("Thương hiệu", "brand"),
        ("brand_name", "brand"),
        ("Ngày cập nhật", "observed_on"),
        ("crawl_date", "observed_on"),
    ],
)
def test_usual_headers_in_both_languages(header: str, role: str):
    assert headers_of("Mã vạch", header) == {role: header}


def test_no_header_stands_for_two_roles():
    names = [name for usual in ROLES.values() for name in usual]
    assert len(names) == len(set(names))


def test_what_is_asked_goes_before_the_list_price():
    assert headers_of("price", "Giá gốc", "Giá khuyến mãi") == {
        "price": "Giá khuyến mãi",
        "list_price": "Giá gốc",
    }


def test_a_column_that_nobody_fills_gives_way():
    columns = {"Giá bán": {0: "120.000"}, "price": dict.fromkeys(range(9), "99k")}
    assert find_offer_columns(columns, OfferSettings())["price"].header == "price"
    assert find_offer_columns({"Giá bán": {0: "-"}}, OfferSettings()) == {}


def test_the_header_tells_currency_and_thousands():
    def price(header: str) -> tuple[str | None, int]:
        column = find_offer_columns({header: CELLS}, OfferSettings())["price"]
        return column.currency, column.factor

    assert price("Giá bán (VNĐ)") == ("VND", 1)
    assert price("Giá (₫)") == ("VND", 1)
    assert price("Price ($)") == ("USD", 1)
    assert price("Giá (nghìn đồng)") == ("VND", 1000)
    assert price("Giá (1.000đ)") == ("VND", 1000)
    assert price("Giá (x1000)") == (None, 1000)
    assert price("Giá (k)") == (None, 1000)
    assert price("Giá") == (None, 1)


def test_a_person_names_a_column_or_says_that_there_is_none():
    assert headers_of("Giá", "Giá KM", price="giá km") == {"price": "Giá KM"}
    assert headers_of("Giá", "Shop", price="") == {"seller": "Shop"}


def test_a_named_column_that_is_not_there_is_an_error_that_says_which_are():
    with pytest.raises(InputError, match=r"'Gia X'.*offers\.columns\.price.*'Shop'"):
        headers_of("Shop", price="Gia X")
