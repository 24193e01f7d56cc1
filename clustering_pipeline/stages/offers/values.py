"""Prices, counts, shares, ratings and dates as shops write them, in English and Vietnamese.

A reader returns None for what it cannot read for certain; nobody is served by a price that was
guessed.
"""

import calendar
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from clustering_pipeline.core.text import without_accents
from clustering_pipeline.core.titles import read_quantities

# What tables write where there is nothing to say.
NOTHING = frozenset(
    {"", "-", "--", "—", "–", "_", "/", "n/a", "na", "nan", "none", "null", "nil", "?", "#n/a"}
)
# With what may stand around it unseen.
LONGEST_NOTHING = 12
CURRENCIES: Mapping[str, str] = {
    "₫": "VND",
    "vnd": "VND",
    "dong": "VND",
    "d": "VND",
    "us$": "USD",
    "usd": "USD",
    "$": "USD",
    "s$": "SGD",
    "sgd": "SGD",
    "€": "EUR",
    "eur": "EUR",
    "£": "GBP",
    "gbp": "GBP",
    "¥": "JPY",
    "jpy": "JPY",
    "cny": "CNY",
    "rmb": "CNY",
    "฿": "THB",
    "thb": "THB",
    "rp": "IDR",
    "idr": "IDR",
    "rm": "MYR",
    "myr": "MYR",
    "₩": "KRW",
    "krw": "KRW",
    "₱": "PHP",
    "php": "PHP",
    "₹": "INR",
    "inr": "INR",
}
THOUSAND, MILLION, BILLION = 1_000, 1_000_000, 1_000_000_000
MULTIPLIERS: Mapping[str, int] = {
    "k": THOUSAND,
    "nghin": THOUSAND,
    "ngan": THOUSAND,
    "ng": THOUSAND,
    "tr": MILLION,
    "trieu": MILLION,
    "m": MILLION,
    "mil": MILLION,
    "ty": BILLION,
}
# Of what a title states, one of these is what is sold; pieces go before what each of them holds.
_SOLD_BY = {"pieces": (1.0, "piece"), "ml": (100.0, "100 ml"), "g": (100.0, "100 g")}


def _one_of(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


_DIGITS = r"\d+(?:[.,' ]\d+)*"
# Dong may follow at once: "350kđ".
_MULTIPLIER = rf"(?:{_one_of(MULTIPLIERS)})(?=vnd|dong|d(?![a-z])|[^a-z]|$)"
_CURRENCY = rf"(?:{_one_of(CURRENCIES)})(?![a-z])"
# A number, perhaps of thousands or millions with what is left of them: "1tr2", "1 trieu 250 nghin".
_AMOUNT = (
    rf"(?P<{{0}}number>{_DIGITS})\s*(?:(?P<{{0}}multiplier>{_MULTIPLIER}|(?:tr|k)(?=\d))"
    rf"\s*(?:(?P<{{0}}rest>\d{{{{1,3}}}}|ruoi)\s*(?P<{{0}}unit>{_MULTIPLIER})?)?)?"
)
_TALK = (
    r"(?:gia(?:\s+(?:ban|goc|tu|chi|sale|khuyen mai|km|si|le|niem yet))?|chi\s+con|chi\s+tu|chi|con"
    r"|tu|only|from|sale|now|price|khoang|approx\.?|about|~|≈)"
)
_PER = r"(?:/\s*[a-z]+|\bper\s+[a-z]+|,-|\.-|\.)"
_MONEY = rf"(?P<{{0}}before>{_CURRENCY})?\s*{_AMOUNT}\s*(?P<{{0}}after>{_CURRENCY})?"
_FROM, _UP_TO = r"(?:tu|from)", r"(?:-|–|—|~|den|toi|to|->|→)"
_PRICE = re.compile(
    rf"(?:{_TALK}\s*:?\s*)*{_MONEY.format('')}\s*{_PER}?\s*(?:vat|\+)?",
)
_RANGE = re.compile(
    rf"(?:{_TALK}\s*:?\s*)*(?:{_FROM}\s*)?{_MONEY.format('low_')}\s*{_UP_TO}\s*"
    rf"{_MONEY.format('high_')}\s*{_PER}?",
)
_ASIDE = re.compile(r"\([^()\d]*\)|\[[^\[\]\d]*\]")
_INDIAN = re.compile(r"\d{1,2}(?:,\d{2})+,\d{3}")
MARKS = (".", ",")
# Longer text is no value, and more money than this nobody asks.
LONGEST = 120
MOST_MONEY = 1e15


@dataclass(frozen=True)
class Price:
    """An amount of money, `high` above `low` where a range was given, and its ISO 4217 currency
    where one was named.
    """

    low: float
    high: float
    currency: str | None = None


@lru_cache(maxsize=1 << 16)
def plain(text: str) -> str:
    """Return the beginning of a cell's text for the patterns here: lower case, no accents, one kind
    of space and minus.
    """
    bare = without_accents(text[:LONGEST].replace("−", "-").replace("’", "'"))
    visible = "".join(
        letter
        for letter in bare
        if unicodedata.category(letter) not in ("Cf", "Cc") or letter == " "
    )
    return " ".join(visible.split())


def says_nothing(text: str) -> bool:
    """Whether a cell only says that it holds nothing ("", "-", "n/a")."""
    return len(text) <= LONGEST_NOTHING and plain(text) in NOTHING


@lru_cache(maxsize=1 << 16)
def read_price(text: str, decimal_mark: str | None = None) -> Price | None:
    """Return the price, or the range of prices, that a cell gives; None when it is not certain.

    `decimal_mark`: "." or "," where the column tells. Without it, three digits behind a single mark
    are thousands, as no shop gives a price to a thousandth.

    Example:
        >>> read_price("₫120.000"), read_price("1,2tr").low, read_price("$12.50").currency
        (Price(low=120000.0, high=120000.0, currency='VND'), 1200000.0, 'USD')
        >>> read_price("99k - 1tr2")
        Price(low=99000.0, high=1200000.0, currency=None)
        >>> read_price("150.000đ 120.000đ") is None
        True
    """
    if len(text) > LONGEST:
        return None
    said = " ".join(_ASIDE.sub(" ", plain(text)).split())
    whole = _PRICE.fullmatch(said)
    if whole is not None:
        amount = _amount(whole, "", decimal_mark)
        return _price(amount, amount, _currency(whole, ""))
    ends = _RANGE.fullmatch(said)
    if ends is None:
        return None
    low, high = (_amount(ends, part, decimal_mark) for part in ("low_", "high_"))
    if low is not None and high is not None and not ends["low_multiplier"]:
        # "120-150k" counts thousands on both sides.
        scaled = low * MULTIPLIERS.get(ends["high_multiplier"] or "", 1)
        low = scaled if scaled <= high else low
    currencies = {_currency(ends, part) for part in ("low_", "high_")} - {None}
    return _price(low, high, next(iter(currencies), None)) if len(currencies) < 2 else None


def _price(low: float | None, high: float | None, currency: str | None) -> Price | None:
    if low is None or high is None or not 0 < low <= high <= MOST_MONEY:
        return None
    return Price(low, high, currency)


def _currency(match: re.Match[str], part: str) -> str | None:
    named = {CURRENCIES[symbol] for end in ("before", "after") if (symbol := match[f"{part}{end}"])}
    return next(iter(named), None)


def _amount(match: re.Match[str], part: str, mark: str | None) -> float | None:
    multiplier = MULTIPLIERS.get(match[f"{part}multiplier"] or "", 1)
    number = _scaled_number(match[f"{part}number"], multiplier, mark)
    rest, unit = match[f"{part}rest"], match[f"{part}unit"]
    if number is None or not rest:
        return number
    if not float(number / multiplier).is_integer():
        return None
    if rest == "ruoi":
        return None if unit else number + multiplier / 2
    if unit:
        smaller = MULTIPLIERS[unit]
        return number + int(rest) * smaller if smaller < multiplier else None
    return number + float(f"0.{rest}") * multiplier


def _scaled_number(text: str, multiplier: int, mark: str | None) -> float | None:
    # Of millions nobody writes thousands: "1.250tr" is one and a quarter.
    scaled = number_of(text, text.strip("0123456789 '")[:1] if multiplier > THOUSAND else mark)
    return None if scaled is None else round(scaled * multiplier, 6)


def number_of(text: str, decimal_mark: str | None = None) -> float | None:
    """Return the number that digits with marks between them stand for; None when it is not certain.

    Example:
        >>> number_of("1.299.000"), number_of("1,299.5"), number_of("12,5"), number_of("1.29.9")
        (1299000.0, 1299.5, 12.5, None)
    """
    if " " in text or "'" in text:
        head = re.fullmatch(r"(\d{1,3}(?:([ '])\d{3})(?:\2\d{3})*)((?:[.,]\d{1,2})?)", text)
        return float(re.sub("[ ']", "", head[1]) + head[3].replace(",", ".")) if head else None
    marks = [letter for letter in text if letter in MARKS]
    if not marks:
        return float(text)
    if _INDIAN.fullmatch(text):
        return float(text.replace(",", ""))
    if len(set(marks)) == 2:
        return _with_both(text, marks)
    return _with_one(text, marks, decimal_mark)


def _with_both(text: str, marks: list[str]) -> float | None:
    thousands, decimal = marks[0], marks[-1]
    if marks.count(decimal) > 1 or thousands == decimal:
        return None
    whole, fraction = text.split(decimal)
    return float(f"{_joined(whole, thousands)}.{fraction}") if _grouped(whole, thousands) else None


def _with_one(text: str, marks: list[str], decimal_mark: str | None) -> float | None:
    mark = marks[0]
    if len(marks) > 1:
        return float(_joined(text, mark)) if _grouped(text, mark) else None
    whole, fraction = text.split(mark)
    if _grouped(text, mark) and mark != decimal_mark:
        return float(whole + fraction)
    return float(f"{whole}.{fraction}") if decimal_mark in (None, mark) else None


def _grouped(text: str, mark: str) -> bool:
    return re.fullmatch(rf"[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+", text) is not None


def _joined(text: str, mark: str) -> str:
    return text.replace(mark, "")


_FRACTION = re.compile(
    r"(?<![\d.,'])\d+(?:[.,]\d{3})*([.,])\d{1,2}(?![\d.,']|\s*(?:k|tr|trieu|ng))"
)
_GROUPS = re.compile(r"(?<![\d.,])\d{1,3}(?:([.,])\d{3})(?:\1\d{3})+(?![\d])")


def decimal_mark_of(texts: Iterable[str]) -> str | None:
    """Return the mark before decimals that the values of a column agree on; None when none has
    decimals, or they disagree.

    Example:
        >>> decimal_mark_of(["12.50", "1.299"]), decimal_mark_of(["1.299", "899"])
        ('.', None)
        >>> decimal_mark_of(["12.50", "1.299.000"]) is None
        True
    """
    decimal: set[str] = set()
    thousands: set[str] = set()
    for text in map(plain, texts):
        decimal.update(_FRACTION.findall(text))
        thousands.update(_GROUPS.findall(text))
    agreed = decimal - thousands
    return next(iter(agreed)) if len(agreed) == len(decimal) == 1 else None


_SHARE = re.compile(
    r"(?:(?:giam|sale|off|discount|save|down)\s*(?:gia)?\s*:?\s*)?[-+]?\s*(\d+(?:[.,]\d+)?)\s*(%?)"
    r"\s*(?:off|giam|discount)?"
)


def read_share(text: str, *, of_one: bool = False) -> float | None:
    """Return a discount as a share from 0 to 1; `of_one`: the column holds shares and not percents.

    Example:
        >>> read_share("-44%"), read_share("Giảm 12,5%"), read_share("-0.15", of_one=True)
        (0.44, 0.125, 0.15)
    """
    match = _SHARE.fullmatch(plain(text))
    if match is None:
        return None
    value = float(match[1].replace(",", "."))
    share = value if of_one and not match[2] else value / 100
    return round(share, 6) if 0 <= share <= 1 else None


_COUNT = re.compile(
    rf"(?:(?:da ban|so luong|luot ban|luot|sold|ban duoc|tren|hon|over|>)\s*:?\s*)*({_DIGITS})\s*"
    rf"({_MULTIPLIER})?\s*\+?\s*(?:da ban|luot ban|luot|san pham|sp|sold|pcs|chiec|cai|reviews?"
    r"|ratings?|danh gia|nhan xet|binh luan)?\s*(?:/\s*(?:thang|month|tuan|week))?"
)


def read_count(text: str) -> int | None:
    """Return how many a cell counts: sold, reviews.

    Example:
        >>> read_count("Đã bán 1,2k"), read_count("1.200"), read_count("10k+ sold")
        (1200, 1200, 10000)
    """
    match = _COUNT.fullmatch(plain(text).strip("()"))
    if match is None:
        return None
    multiplier = MULTIPLIERS.get(match[2] or "", 1)
    if multiplier > 1 and _grouped(match[1], ".") | _grouped(match[1], ","):
        return None
    number = number_of(match[1])
    whole = None if number is None else round(number * multiplier, 3)
    return int(whole) if whole is not None and whole.is_integer() else None


_RATING = re.compile(
    r"(\d+(?:[.,]\d+)?)\s*(?:/\s*(5|10|100)|(%)|\s*(?:sao|stars?|★|⭐))?(?:\s*\([^()]*\))?"
)
HIGHEST_RATING = 5


def read_rating(text: str) -> float | None:
    """Return a rating as stars from 0 to 5.

    Example:
        >>> read_rating("4,9"), read_rating("9/10"), read_rating("98%"), read_rating("1.234")
        (4.9, 4.5, 4.9, None)
    """
    match = _RATING.fullmatch(plain(text).removeprefix("★").removeprefix("⭐").strip())
    if match is None:
        return None
    # A thousand or more of something is a count of ratings.
    if _grouped(match[1], ".") or _grouped(match[1], ","):
        return None
    most = 100 if match[3] else int(match[2] or HIGHEST_RATING)
    value = float(match[1].replace(",", "."))
    return round(value * HIGHEST_RATING / most, 3) if value <= most else None


_MONTHS = {
    name.casefold(): number
    for names in (calendar.month_name, calendar.month_abbr)
    for number, name in enumerate(names)
    if name
}
_TIME = r"(?:[ t,]+\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:am|pm|z|[+-]\d{2}:?\d{2})?)?"
_ISO = re.compile(rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_TIME}")
_COMPACT = re.compile(r"(20\d{2})(\d{2})(\d{2})")
_NUMERIC = re.compile(
    rf"(?:ngay\s*)?(?:\d{{1,2}}:\d{{2}}(?::\d{{2}})?[ ,]+)?(\d{{1,2}})([-/.])(\d{{1,2}})\2"
    rf"(\d{{4}}|\d{{2}}){_TIME}"
)
_VIETNAMESE = re.compile(
    rf"(?:ngay\s*)?(\d{{1,2}})\s*(?:thang|thg\.?)\s*(\d{{1,2}})\s*,?\s*(?:nam\s*)?(\d{{4}}){_TIME}"
)
_DAY_MONTH = re.compile(rf"(\d{{1,2}})(?:st|nd|rd|th)?[ -]([a-z]{{3,9}})\.?,?[ -](\d{{4}}){_TIME}")
_MONTH_DAY = re.compile(rf"([a-z]{{3,9}})\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}}){_TIME}")


def read_day(text: str, *, day_first: bool | None = None) -> date | None:
    """Return the day that a date gives, as number, text or with a time; None when it is not
    certain.

    `day_first`: what the column tells of "05/11/2026", which without it is not certain.

    Example:
        >>> read_day("28 tháng 11 năm 2026").isoformat(), read_day("28/11/2026").isoformat()
        ('2026-11-28', '2026-11-28')
        >>> read_day("05/11/2026") is None
        True
    """
    said = plain(text)
    if match := _ISO.fullmatch(said) or _COMPACT.fullmatch(said):
        return _day(*map(int, match.groups()))
    if match := _VIETNAMESE.fullmatch(said):
        return _day(int(match[3]), int(match[2]), int(match[1]))
    if match := _DAY_MONTH.fullmatch(said):
        return _day(int(match[3]), _MONTHS.get(match[2], 0), int(match[1]))
    if match := _MONTH_DAY.fullmatch(said):
        return _day(int(match[3]), _MONTHS.get(match[1], 0), int(match[2]))
    match = _NUMERIC.fullmatch(said)
    return _numeric_day(match, day_first) if match else None


def _numeric_day(match: re.Match[str], day_first: bool | None) -> date | None:
    first, second = int(match[1]), int(match[3])
    year = int(match[4]) + (2000 if len(match[4]) == 2 else 0)
    stated_order = day_first_of([match[0]])
    order = day_first if stated_order is None else stated_order
    if order is None and first != second:
        return None
    return _day(year, second, first) if order else _day(year, first, second)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def day_first_of(texts: Iterable[str]) -> bool | None:
    """Return whether the dates of a column write the day before the month; None when none of them
    tells, or they disagree.

    Example:
        >>> day_first_of(["05/11/2026", "28/11/2026"]), day_first_of(["05/11/2026"])
        (True, None)
    """
    orders = set()
    for match in filter(None, (_NUMERIC.fullmatch(plain(text)) for text in texts)):
        if int(match[1]) > 12:
            orders.add(True)
        if int(match[3]) > 12:
            orders.add(False)
    return orders.pop() if len(orders) == 1 else None


def unit_amount(title: str) -> tuple[float, str] | None:
    """Return how many units a listing holds and which: "100 ml", "100 g" or "piece"; None when the
    title says none, or says several.

    Example:
        >>> unit_amount("Combo 2 chai dầu gội 650ml"), unit_amount("Mặt nạ 10 miếng 25ml")
        ((13.0, '100 ml'), (10.0, 'piece'))
        >>> unit_amount("Kem 50ml tặng gel 10ml") is None
        True
    """
    stated: dict[str, set[float]] = {}
    for quantity in read_quantities(title):
        stated.setdefault(quantity.kind, set()).add(quantity.value)
    packs = stated.get("packs", {1.0})
    kind = next((kind for kind in _SOLD_BY if kind in stated), None)
    if kind is None or len(packs) > 1 or len(stated[kind]) > 1:
        return None
    size, unit = _SOLD_BY[kind]
    return round(min(stated[kind]) * min(packs) / size, 6), unit


def unit_price(price: float, title: str) -> tuple[float, str] | None:
    """Return the price of one unit and which unit it is; None as for `unit_amount`."""
    amount = unit_amount(title)
    return None if amount is None else (round(price / amount[0], 4), amount[1])
