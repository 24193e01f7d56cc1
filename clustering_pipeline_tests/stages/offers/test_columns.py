"""Which columns hold prices, sellers and the like."""

import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.settings import OfferSettings
from clustering_pipeline.stages.offers.columns import ROLES, find_offer_columns

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
