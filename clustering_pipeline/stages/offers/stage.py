"""From the other columns of the catalogue to offers: what each listing costs, who sells it, and
what else its row says; and the prices of this reading beside those of earlier ones.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import pandas as pd

from clustering_pipeline.core.facts import Fact
from clustering_pipeline.core.manifests import OFFERS, conform
from clustering_pipeline.core.text import plain_header
from clustering_pipeline.settings import OfferSettings
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.stages.offers.columns import OfferColumn, find_offer_columns, is_usual
from clustering_pipeline.stages.offers.history import PriceHistory
from clustering_pipeline.stages.offers.values import (
    Price,
    day_first_of,
    decimal_mark_of,
    read_count,
    read_day,
    read_price,
    read_rating,
    read_share,
    unit_price,
)

Values = dict[str, Any]
Reader = Callable[[str], Any]
LONGEST_NAME = 200
LONGEST_LINK = 2000
COLUMNS = tuple(name for name in OFFERS.schema.names if name != "listing")


def run(*, catalogue: pd.DataFrame, settings: OfferSettings, context: StageContext) -> StageResult:
    """Return the OFFERS manifest, a row per listing, and keep its prices for later comparison.

    Raises InputError when the settings name a column that is not there.
    """
    offers, facts = read_offers(catalogue, settings)
    if context.category and offers["price"].notna().any():
        source = _digest(catalogue)
        PriceHistory(context.blobs.files, context.category).keep(catalogue, offers, source)
    return StageResult(offers, facts)


def _digest(catalogue: pd.DataFrame) -> str:
    said = catalogue[["product_base_id", "extra"]].astype(object).where(lambda cells: cells.notna())
    return hashlib.sha256(said.to_json(orient="values", force_ascii=False).encode()).hexdigest()


def read_offers(
    catalogue: pd.DataFrame, settings: OfferSettings
) -> tuple[pd.DataFrame, dict[str, Fact]]:
    """Return the OFFERS manifest of a catalogue, and facts: which columns were taken, how many
    values of each were read, and how many could not be.

    A value that cannot be read for certain stays as text in `unread`, a JSON object by role. Raises
    InputError as `find_offer_columns` does.
    """
    rows: dict[int, Values] = {}
    unread: dict[int, dict[str, str]] = defaultdict(dict)
    taken: dict[str, str] = {}
    for _, sheet in catalogue.groupby("sheet", sort=False):
        columns = find_offer_columns(_cells_by_header(sheet, settings), settings)
        taken |= {column.header: role for role, column in columns.items()}
        for role, column in columns.items():
            read = _reader(role, column, settings)
            for row, text in column.cells.items():
                value = read(text)
                if value is None:
                    unread[row][role] = text
                rows.setdefault(row, {})[role] = value
    records = [
        _record(int(listing), title, rows.get(int(listing), {}), unread.get(int(listing)))
        for listing, title in zip(catalogue["listing"], catalogue["title"], strict=True)
    ]
    offers = pd.DataFrame(records, columns=["listing", *COLUMNS])
    offers = conform(_with_known_currency(offers, settings), OFFERS)
    return offers, _facts(taken, rows, unread)


def _cells_by_header(sheet: pd.DataFrame, settings: OfferSettings) -> dict[str, dict[int, str]]:
    """Return the cells of the columns that may hold offers; others, such as long descriptions, are
    known by their header alone.
    """
    named = {plain_header(header) for header in settings.columns.values()}
    columns: dict[str, dict[int, str]] = {}
    for listing, extra in zip(sheet["listing"], sheet["extra"], strict=True):
        for header, text in json.loads(extra or "{}").items():
            cells = columns.setdefault(header, {})
            if is_usual(header) or (named and plain_header(header) in named):
                cells[int(listing)] = text
    return columns


def _reader(role: str, column: OfferColumn, settings: OfferSettings) -> Reader:
    texts = column.cells.values()
    if role in ("price", "list_price"):
        return partial(_money, column, _decimal_marks(texts, settings))
    if role == "discount":
        return partial(read_share, of_one=_are_shares_of_one(texts))
    if role == "observed_on":
        return partial(read_day, day_first=_day_first(column, settings))
    readers: dict[str, Reader] = {
        "sold": read_count,
        "reviews": read_count,
        "rating": read_rating,
        "link": _safe_link,
    }
    return readers.get(role, _name)


Marks = Mapping[str | None, str | None]


def _decimal_marks(texts: Iterable[str], settings: OfferSettings) -> Marks:
    """Return the mark before decimals in the prices of each currency that a column names, None for
    those that name none.
    """
    by_currency: dict[str | None, list[str]] = defaultdict(list)
    for text in texts:
        price = read_price(text)
        if price is not None:
            by_currency[price.currency].append(text)
    mark = settings.decimal_mark
    return {
        currency: decimal_mark_of(group) if mark == "auto" else mark
        for currency, group in by_currency.items()
    }


def _money(column: OfferColumn, marks: Marks, text: str) -> Price | None:
    price = read_price(text)
    mark = marks.get(price.currency) if price else None
    price = read_price(text, mark) if mark else price
    if price is None:
        return None
    return Price(
        price.low * column.factor, price.high * column.factor, price.currency or column.currency
    )


def _are_shares_of_one(texts: Any) -> bool:
    """Whether a column holds 0.15 for 15 %, as cells formatted as percentages do."""
    values = [read_share(text, of_one=True) for text in texts if "%" not in text]
    return bool(values) and all(value is not None for value in values)


def _day_first(column: OfferColumn, settings: OfferSettings) -> bool | None:
    if settings.date_order != "auto":
        return settings.date_order == "day first"
    day_first = day_first_of(column.cells.values())
    return column.writes_day_first if day_first is None else day_first


def _safe_link(text: str) -> str | None:
    address = text.strip()
    safe = address.lower().startswith(("https://", "http://")) and len(address) <= LONGEST_LINK
    return address if safe and len(address.split()) == 1 else None


def _name(text: str) -> str | None:
    return " ".join(text.split())[:LONGEST_NAME] or None


def _record(
    listing: int, title: Any, values: Mapping[str, Any], unread: Mapping[str, str] | None
) -> Values:
    price, listed = values.get("price"), values.get("list_price")
    single = price is not None and price.low == price.high
    titled = "" if pd.isna(title) else str(title)
    unit = unit_price(price.low, titled) if price and single else None
    day = values.get("observed_on")
    plain = {name: values.get(name) for name in ("seller", "place", "brand", "link")}
    counted = {name: values.get(name) for name in ("sold", "rating", "reviews")}
    return {
        "listing": listing,
        "price": price.low if price else None,
        "price_high": price.high if price and not single else None,
        "list_price": listed.low if listed else None,
        "discount": _discount(values.get("discount"), price, listed),
        "currency": next((each.currency for each in (price, listed) if each), None),
        **plain,
        **counted,
        "observed_on": day.isoformat() if day else None,
        "unit_price": unit[0] if unit else None,
        "unit": unit[1] if unit else None,
        "unread": json.dumps(unread, ensure_ascii=False) if unread else None,
    }


def _discount(said: float | None, price: Price | None, listed: Price | None) -> float | None:
    if said is not None or price is None or listed is None or listed.low < price.low:
        return said
    return round(1 - price.low / listed.low, 4)


def _with_known_currency(offers: pd.DataFrame, settings: OfferSettings) -> pd.DataFrame:
    """Fill in the currency of prices without one: that of the settings, else the only one that
    others name.
    """
    named = set(offers["currency"].dropna())
    currency = settings.currency or (named.pop() if len(named) == 1 else None)
    priced = offers["price"].notna() | offers["list_price"].notna()
    return offers.assign(
        currency=offers["currency"].where(offers["currency"].notna() | ~priced, currency)
    )


def _facts(
    taken: Mapping[str, str],
    rows: Mapping[int, Values],
    unread: Mapping[int, Mapping[str, str]],
) -> dict[str, Fact]:
    said = list(
        _counted((role, value is not None) for row in rows.values() for role, value in row.items())
    )
    facts: dict[str, Fact] = {
        "columns": ", ".join(f"{role} from {header!r}" for header, role in taken.items()) or "none"
    }
    facts |= {f"read_{role}": read for role, read, _ in said}
    facts |= {f"unread_{role}": missed for role, _, missed in said if missed}
    facts["unread"] = sum(map(len, unread.values()))
    return facts


def _counted(values: Iterator[tuple[str, bool]]) -> Iterator[tuple[str, int, int]]:
    """Yield per role how many values were read and how many were not."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for role, is_read in values:
        counts[role][0 if is_read else 1] += 1
    for role in sorted(counts):
        read, missed = counts[role]
        yield role, read, missed
