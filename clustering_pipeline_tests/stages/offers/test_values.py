"""Values as shops write them: read right, or not at all."""

import string
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.stages.offers.values import (
    Price,
    day_first_of,
    decimal_mark_of,
    number_of,
    read_count,
    read_day,
    read_price,
    read_rating,
    read_share,
    says_nothing,
)

PRICES = [
    ("120000", 120_000, None),
    ("120.000", 120_000, None),
    ("120,000", 120_000, None),
    ("120 000", 120_000, None),
    ("120.000đ", 120_000, "VND"),
    ("120.000 đ", 120_000, "VND"),
    ("120.000₫", 120_000, "VND"),
    ("₫120.000", 120_000, "VND"),
    ("₫ 120,000", 120_000, "VND"),
    ("120.000 VNĐ", 120_000, "VND"),
    ("VND 120.000", 120_000, "VND"),
    ("120.000 đồng", 120_000, "VND"),
    ("120.000Đ", 120_000, "VND"),
    ("120.000,-", 120_000, None),
    ("1.299.000đ", 1_299_000, "VND"),
    ("1,299,000 VND", 1_299_000, "VND"),
    ("1.299.000,00 ₫", 1_299_000, "VND"),
    ("1 299 000 đ", 1_299_000, "VND"),
    ("1.299.000.000đ", 1_299_000_000, "VND"),
    ("1,2tr", 1_200_000, None),
    ("1.2tr", 1_200_000, None),
    ("1,25 tr", 1_250_000, None),
    ("1tr2", 1_200_000, None),
    ("1tr250", 1_250_000, None),
    ("1tr250k", 1_250_000, None),
    ("1 triệu 250 nghìn", 1_250_000, None),
    ("2 triệu rưỡi", 2_500_000, None),
    ("1,2 triệu đồng", 1_200_000, "VND"),
    ("2 tỷ", 2_000_000_000, None),
    ("99k", 99_000, None),
    ("99K", 99_000, None),
    ("99 k", 99_000, None),
    ("89,5k", 89_500, None),
    ("1.250k", 1_250_000, None),
    ("350 nghìn", 350_000, None),
    ("350 ngàn đồng", 350_000, "VND"),
    ("350kđ", 350_000, "VND"),
    ("Giá: 120.000đ", 120_000, "VND"),
    ("Giá bán: 120.000đ", 120_000, "VND"),
    ("Giá chỉ 99k", 99_000, None),
    ("Chỉ còn 99.000đ", 99_000, "VND"),
    ("từ 120.000đ", 120_000, "VND"),
    ("120.000đ/hộp", 120_000, "VND"),
    ("120.000₫ / chai", 120_000, "VND"),
    ("120.000đ (đã gồm VAT)", 120_000, "VND"),
    ("[SALE] 120.000đ", 120_000, "VND"),
    ("\u00a0120.000\u00a0₫\u200b ", 120_000, "VND"),
    ("１２０，０００", 120_000, None),
    ("$12.50", 12.5, "USD"),
    ("US$1,299.99", 1299.99, "USD"),
    ("12,50 €", 12.5, "EUR"),
    ("€ 1.299,50", 1299.5, "EUR"),
    ("1’299.50", 1299.5, None),
    ("£9.99", 9.99, "GBP"),
    ("S$ 12.90", 12.9, "SGD"),
    ("RM12.90", 12.9, "MYR"),
    ("Rp 120.000", 120_000, "IDR"),
    ("฿350", 350, "THB"),
    ("₱1,299", 1299, "PHP"),
    ("₹1,29,900", 129_900, "INR"),
    ("0.5tr", 500_000, None),
    ("120000.0", 120_000, None),
    ("12.5 USD", 12.5, "USD"),
    ("from $5", 5, "USD"),
    ("~120k", 120_000, None),
]
RANGES = [
    ("120.000 - 150.000", 120_000, 150_000),
    ("120.000đ-150.000đ", 120_000, 150_000),
    ("₫99.000 - ₫1.299.000", 99_000, 1_299_000),
    ("99.000 ~ 129.000", 99_000, 129_000),
    ("99.000 – 129.000₫", 99_000, 129_000),
    ("từ 99k đến 129k", 99_000, 129_000),
    ("99k → 1tr2", 99_000, 1_200_000),
    ("120-150k", 120_000, 150_000),
    ("1,2 - 1,5tr", 1_200_000, 1_500_000),
    ("$5.50 to $9", 5.5, 9),
]
NOT_PRICES = [
    "",
    "-",
    "Liên hệ",
    "Hết hàng",
    "0",
    "0đ",
    "-5.000",
    "1.29.9",
    "1,2,3",
    "150.000đ 120.000đ",
    "150.000 - 120.000",
    "$5 - 9€",
    "Mua 2 tặng 1",
    "50ml",
    "120.000 x 2",
    "28/11/2026",
    "-44%",
    "12,34,56",
    "1.234.56",
    "9" * 40,
    "1" + ".000" * 3000,
    "=1+1",
    "giá " * 5000,
]


@pytest.mark.parametrize(("text", "amount", "currency"), PRICES)
def test_a_price_as_it_comes(text: str, amount: float | None, currency: str | None):
    expected = None if amount is None else Price(amount, amount, currency)
    assert read_price(text) == expected


def test_at_least_sixty_odd_spellings_are_read():
    assert sum(amount is not None for _, amount, _ in PRICES) >= 60


@pytest.mark.parametrize(("text", "low", "high"), RANGES)
def test_a_range_keeps_both_ends(text: str, low: float, high: float):
    price = read_price(text)
    assert price is not None
    assert (price.low, price.high) == (low, high)


@pytest.mark.parametrize("text", NOT_PRICES, ids=lambda text: text[:12])
def test_what_is_not_certainly_a_price_is_none(text: str):
    assert read_price(text) is None


whole_amounts = st.integers(1, 10**12)


def grouped(amount: int, mark: str) -> str:
    return f"{amount:,}".replace(",", mark)


@given(
    whole_amounts, st.sampled_from([".", ",", " ", ""]), st.sampled_from(["", "đ", " ₫", " VND"])
)
def test_a_written_amount_is_read_back(amount: int, mark: str, symbol: str):
    price = read_price(grouped(amount, mark) + symbol)
    assert price is not None
    assert price.low == price.high == amount


@given(st.integers(1, 999_999_999), st.sampled_from([(".", ","), (",", ".")]))
def test_cents_are_read_back_whichever_mark_stands_before_them(cents: int, marks: tuple[str, str]):
    thousands, decimal = marks
    text = f"{grouped(cents // 100, thousands)}{decimal}{cents % 100:02d}"
    assert number_of(text) == pytest.approx(cents / 100)


@given(st.integers(1, 9_999), st.integers(0, 9))
def test_millions_with_a_digit_behind_them(millions: int, tenth: int):
    price = read_price(f"{millions}tr{tenth}")
    assert price is not None
    assert price.low == pytest.approx(millions * 1_000_000 + tenth * 100_000)


@given(whole_amounts, st.integers(0, 10**9))
def test_a_written_range_is_read_back(low: int, more: int):
    price = read_price(f"{grouped(low, '.')}đ - {grouped(low + more, '.')}đ")
    assert price == Price(low, low + more, "VND")


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_no_text_breaks_a_reader_and_no_price_is_absurd(text: str):
    price = read_price(text)
    assert price is None or 0 < price.low <= price.high
    for read in (read_share, read_count, read_rating, read_day):
        read(text)
    says_nothing(text)


@given(st.text(string.digits + "., ktr₫đ-~%/ " + "abc", max_size=2000))
def test_long_and_twisted_text_is_answered_at_once(text: str):
    read_price(text)
    read_count(text)
    read_day(text)


def test_a_column_tells_whether_a_mark_is_before_decimals():
    texts = ["12.50", "899.99", "1.299"]
    assert decimal_mark_of(texts) == "."
    assert read_price("1.299", decimal_mark_of(texts)) == Price(1.299, 1.299)
    assert decimal_mark_of(["12,50", "1.299,00"]) == ","
    assert read_price("1.299", ",") == Price(1299, 1299)
    assert read_price("12.5", ",") is None


def test_a_column_that_disagrees_with_itself_tells_nothing():
    assert decimal_mark_of(["12.50", "12,50"]) is None
    assert decimal_mark_of(["12.50", "1.299.000"]) is None
    assert decimal_mark_of(["1,2tr", "99k", "120.000"]) is None


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("-44%", 0.44),
        ("44%", 0.44),
        ("-44 %", 0.44),
        ("−44%", 0.44),
        ("44", 0.44),
        ("Giảm 44%", 0.44),
        ("44% OFF", 0.44),
        ("44% GIẢM", 0.44),
        ("12,5%", 0.125),
        ("0%", 0.0),
        ("150%", None),
        ("giảm 50k", None),
        ("", None),
    ],
)
def test_a_discount(text: str, share: float | None):
    assert read_share(text) == share


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Đã bán 1,2k", 1200),
        ("Đã bán 1.2k+", 1200),
        ("1,2k đã bán/tháng", 1200),
        ("1.200", 1200),
        ("10k+ sold", 10_000),
        ("999+", 999),
        ("Sold 1,234", 1234),
        ("(1,2k)", 1200),
        ("1,1tr", 1_100_000),
        ("0", 0),
        ("3,4 nghìn lượt bán", 3400),
        ("1.234k", None),
        ("1,5", None),
        ("nhiều", None),
    ],
)
def test_a_count(text: str, count: int | None):
    assert read_count(text) == count


@pytest.mark.parametrize(
    ("text", "stars"),
    [
        ("4.9", 4.9),
        ("4,9", 4.9),
        ("5", 5.0),
        ("4.9/5", 4.9),
        ("9/10", 4.5),
        ("98%", 4.9),
        ("4,9 sao", 4.9),
        ("4.9 (1,2k đánh giá)", 4.9),
        ("★ 4.8", 4.8),
        ("1.234", None),
        ("12", None),
        ("tốt", None),
    ],
)
def test_a_rating(text: str, stars: float | None):
    assert read_rating(text) == stars


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-28",
        "2026-11-28T08:30:00Z",
        "2026-11-28 08:30",
        "20261128",
        "28/11/2026",
        "28-11-2026",
        "28.11.2026",
        "28/11/26",
        "11/28/2026",
        "28/11/2026 08:30",
        "08:30 28/11/2026",
        "ngày 28 tháng 11 năm 2026",
        "28 thg 11, 2026",
        "28 Nov 2026",
        "Nov 28, 2026",
        "November 28th, 2026",
    ],
)
def test_a_day(text: str):
    assert read_day(text) == date(2026, 11, 28)


@given(st.dates(date(1990, 1, 1), date(2068, 12, 31)), st.sampled_from(["%d/%m/%Y", "%Y-%m-%d"]))
def test_a_written_day_is_read_back(day: date, form: str):
    assert read_day(day.strftime(form), day_first=True) == day


def test_a_day_that_could_be_two_is_none_until_the_column_tells():
    assert read_day("05/11/2026") is None
    assert read_day("05/11/2026", day_first=True) == date(2026, 11, 5)
    assert read_day("05/11/2026", day_first=False) == date(2026, 5, 11)
    assert read_day("11/11/2026") == date(2026, 11, 11)
    assert day_first_of(["05/11/2026", "11/28/2026"]) is False
    assert day_first_of(["28/11/2026", "11/28/2026"]) is None


@pytest.mark.parametrize("text", ["31/02/2026", "2026-13-01", "hôm qua", "00/00/0000"])
def test_what_is_no_day_is_none(text: str):
    assert read_day(text, day_first=True) is None


@pytest.mark.parametrize("text", ["", " - ", "N/A", "null", "—", "NaN"])
def test_cells_that_say_nothing(text: str):
    assert says_nothing(text)
