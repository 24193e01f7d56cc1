"""From the other columns of the catalogue to offers: which of them hold prices, sellers and what
else a row says, what each listing costs, and the prices of this reading beside those of earlier
ones, a small Parquet file each in the store.
"""

import hashlib
import io
import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.manifests import OFFERS, conform
from clustering_pipeline.core.progress import Fact
from clustering_pipeline.core.text import plain_header
from clustering_pipeline.settings import OfferSettings
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.stages.offers.values import (
    CURRENCIES,
    MULTIPLIERS,
    Price,
    day_first_of,
    decimal_mark_of,
    read_count,
    read_day,
    read_price,
    read_rating,
    read_share,
    says_nothing,
    unit_price,
)
from clustering_pipeline.storage import FileTree

ROLES: Mapping[str, list[str]] = tomllib.loads(
    (Path(__file__).parent / "headers.toml").read_text(encoding="utf-8")
)
MONEY_ROLES = ("price", "list_price")
# What a header may say of its amounts: "Giá (nghìn đồng)", "Price VND", "Giá (1.000đ)".
_UNITS = dict.fromkeys((*CURRENCIES, "vnd", "d"), 1) | dict(MULTIPLIERS) | {"1000": 1000}
_VIETNAMESE_DATES = tuple(name for name in ROLES["observed_on"] if name[:4] in ("ngay", "thoi"))


@dataclass(frozen=True)
class OfferColumn:
    """A column by its header, the cells of it that say something, by row of the catalogue, and what
    the header says of amounts: their currency, and of how many they are.
    """

    header: str
    cells: Mapping[int, str]
    currency: str | None = None
    factor: int = 1

    @property
    def writes_day_first(self) -> bool | None:
        """True where the header is Vietnamese, whose dates all begin with the day; else None."""
        return True if plain_header(self.header) in _VIETNAMESE_DATES else None


@lru_cache(maxsize=4096)
def is_usual(header: str) -> bool:
    """Whether a header is one of the usual ones of any role."""
    return any(name in usual for role, usual in ROLES.items() for name in _names_of(role, header))


def find_offer_columns(
    columns: Mapping[str, Mapping[int, str]], settings: OfferSettings
) -> dict[str, OfferColumn]:
    """Return the column of each role that a sheet has one for, in the order of the roles.

    `columns`: by header the text of its cells, by row of the catalogue. Raises InputError for a
    header in `offers.columns` that no column has.

    Example:
        >>> cells = {0: "120.000"}
        >>> found = find_offer_columns({"Giá bán (VNĐ)": cells, "Shop": cells}, OfferSettings())
        >>> {role: (column.header, column.currency) for role, column in found.items()}
        {'price': ('Giá bán (VNĐ)', 'VND'), 'seller': ('Shop', None)}
    """
    filled = {
        header: {row: text for row, text in cells.items() if not says_nothing(text)}
        for header, cells in columns.items()
    }
    chosen: dict[str, str] = {str(role): header for role, header in settings.columns.items()}
    by_role: dict[str, OfferColumn] = {}
    for role, usual in ROLES.items():
        taken = [column.header for column in by_role.values()]
        wanted = chosen.get(role)
        header = (
            _named(role, wanted, list(columns)) if wanted else _usual(role, usual, filled, taken)
        )
        if header is not None and wanted != "":
            currency, factor = _unit_of(header) if role in MONEY_ROLES else (None, 1)
            by_role[role] = OfferColumn(header, filled[header], currency, factor)
    return by_role


def _named(role: str, wanted: str, headers: Sequence[str]) -> str:
    for fits in (str.strip, plain_header):
        for header in headers:
            if fits(header) == fits(wanted):
                return header
    raise InputError(
        f"There is no column {wanted!r}, which offers.columns.{role} names. The other columns are "
        f"{', '.join(map(repr, headers)) or 'none'}: correct the name."
    )


def _usual(
    role: str, usual: Sequence[str], filled: Mapping[str, Mapping[int, str]], taken: Sequence[str]
) -> str | None:
    """Return the most telling header, but none that holds less than half of what another does."""
    fitting = [
        header
        for header_name in usual
        for header in filled
        if header not in taken and header_name in _names_of(role, header)
    ]
    most = max((len(filled[header]) for header in fitting), default=0)
    return next((header for header in fitting if most and 2 * len(filled[header]) >= most), None)


def _names_of(role: str, header: str) -> tuple[str, str]:
    name = plain_header(header)
    return name, _without_unit(name)[0] if role in MONEY_ROLES else name


def _without_unit(name: str) -> tuple[str, list[str]]:
    name = re.sub(r"_1_?000(_?d|_dong|_vnd)?$", r"_1000\1", name).replace("1000d", "1000_d")
    words = name.split("_")
    units: list[str] = []
    while len(words) > 1 and words[-1].removeprefix("x") in _UNITS:
        units.append(words.pop().removeprefix("x"))
    return "_".join(words), units


def _unit_of(header: str) -> tuple[str | None, int]:
    symbols = [CURRENCIES[letter] for letter in header if letter in "₫$€£¥฿₩₱₹"]
    units = _without_unit(plain_header(header))[1]
    named = [CURRENCIES[unit] for unit in units if unit in CURRENCIES] + symbols
    factors = [_UNITS[unit] for unit in units if _UNITS[unit] > 1]
    return next(iter(named), None), next(iter(factors), 1)


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


FOLDER = "prices"
SUFFIX = ".parquet"
TIME = "%Y%m%dT%H%M%S.%fZ"
SOURCE_DIGITS = 16
KEPT = ("product_base_id", "price", "currency", "observed_on")


@dataclass(frozen=True)
class Reading:
    """When a workbook was read, and its prices: `product_base_id`, `price` (the lowest where an id
    has several on a day), `currency`, `observed_on` (ISO 8601, the row's own day where it has one).
    """

    time: datetime
    prices: pd.DataFrame


class PriceHistory:
    """The readings of one category, the latest last."""

    def __init__(self, files: FileTree, category: str) -> None:
        self._files = files
        self._folder = f"{FOLDER}/{category}"

    def keep(
        self,
        catalogue: pd.DataFrame,
        offers: pd.DataFrame,
        source: str,
        time: datetime | None = None,
    ) -> None:
        """Keep the prices of a reading made now, or at `time`.

        `source`: what was read, as a hash. A source that is the last one read is the same
        observation: it replaces that reading and keeps its time.
        """
        names = self._files.list(self._folder, SUFFIX)
        digest = source[:SOURCE_DIGITS]
        moment = (time or datetime.now(UTC)).astimezone(UTC)
        name = f"{moment.strftime(TIME)}-{digest}{SUFFIX}"
        if names and names[-1].removesuffix(SUFFIX).endswith(digest):
            name = names[-1]
            moment = _time_of(name)
        buffer = io.BytesIO()
        observed = _observed(catalogue, offers, moment)
        observed.to_parquet(buffer, index=False, compression="zstd")
        self._files.write(f"{self._folder}/{name}", buffer.getvalue())

    def readings(self) -> list[Reading]:
        """Return all readings, the earliest first; a damaged one is set aside."""
        names = self._files.list(self._folder, SUFFIX)
        return [reading for name in names if (reading := self._reading(name)) is not None]

    def version(self) -> str:
        """Return a text that changes when a reading is added."""
        names = self._files.list(self._folder, SUFFIX)
        return f"{len(names)} {names[-1] if names else ''}"

    def _reading(self, name: str) -> Reading | None:
        path = f"{self._folder}/{name}"
        try:
            return Reading(_time_of(name), pd.read_parquet(io.BytesIO(self._files.read(path))))
        except (ValueError, OSError) as error:
            self._files.set_aside(path, str(error))
            return None


def _time_of(name: str) -> datetime:
    return datetime.strptime(name.partition("-")[0], TIME).replace(tzinfo=UTC)


def _observed(catalogue: pd.DataFrame, offers: pd.DataFrame, moment: datetime) -> pd.DataFrame:
    rows = catalogue[["listing", "product_base_id"]].merge(offers, on="listing")
    rows = rows[rows["price"].notna() & rows["product_base_id"].notna()]
    days = rows["observed_on"].fillna(moment.date().isoformat())
    rows = rows.assign(observed_on=days)[list(KEPT)]
    lowest = rows.sort_values(["product_base_id", "observed_on", "price"], kind="stable")
    return lowest.drop_duplicates(["product_base_id", "observed_on"], ignore_index=True)
