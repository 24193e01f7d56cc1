"""Which of a sheet's columns hold prices, sellers and what else is said of an offer."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.text import plain_header
from clustering_pipeline.settings import OfferSettings
from clustering_pipeline.stages.offers.values import CURRENCIES, MULTIPLIERS, says_nothing

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
