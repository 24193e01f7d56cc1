"""What the sheets Products and Listings say: a row per product with its prices, and one per listing
to pivot over.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from clustering_pipeline.core.own_columns import OWN_COLUMNS, OWN_HEADERS
from clustering_pipeline.outputs.prices import Offer, ProductPrices, money, number_format
from clustering_pipeline.outputs.report import Language, Texts, read_words
from clustering_pipeline.outputs.workbook.contents import Tabs, records
from clustering_pipeline.outputs.workbook.ooxml.added_sheet import AddedSheet, Picture
from clustering_pipeline.outputs.workbook.ooxml.parts import CellValue
from clustering_pipeline.stages.catalogue import column_letters

# Bounds of the words for how sure a cluster is, as the pages use them.
SURE, LOOK = 0.85, 0.6
PERCENT, CHANGE, STARS, COUNT = "0%", "+0%;\\-0%;0%", "0.0", "#,##0"
MONEY = "money"


@dataclass(frozen=True)
class PriceTables:
    """What is known of prices: per cluster, per listing, and the address of the review pages
    ("" where there are none).
    """

    products: Mapping[int, ProductPrices] = field(default_factory=dict)
    offers: Mapping[int, Offer] = field(default_factory=dict)
    review: str = ""


@dataclass(frozen=True)
class Confirmed:
    """What people have said to belong together: listings and whole clusters, by their numbers."""

    listings: Collection[int] = frozenset()
    clusters: Collection[int] = frozenset()


@dataclass(frozen=True)
class _Column:
    """A column: its name, width, number format (MONEY: that of the prices), what it holds of a row,
    and whether it stays where it holds nothing.
    """

    name: str
    width: float
    value: Callable[[Any], CellValue]
    form: str = ""
    stays: bool = False


@dataclass(frozen=True)
class _Product:
    """A row of Products: a record of the table of clusters, and its prices."""

    cluster: Mapping[str, Any]
    prices: ProductPrices
    is_confirmed: bool

    @property
    def certainty(self) -> str:
        """The word for how sure the cluster is."""
        beliefs = (self.cluster["weakest_link"], self.cluster["lowest_confidence"])
        belief = next((float(value) for value in beliefs if value is not None), 0.5)
        return "confirmed" if self.is_confirmed else _certainty(belief)


@dataclass(frozen=True)
class _Listing:
    """A row of Listings: a record of the labels with its title, and its offer."""

    label: Mapping[str, Any]
    offer: Offer | None
    note: str | None
    is_confirmed: bool

    @property
    def certainty(self) -> str | None:
        """The word for how sure the place in the cluster is; None without a cluster."""
        confidence = self.label["confidence"]
        if self.is_confirmed:
            return "confirmed"
        return None if confidence is None else _certainty(float(confidence))

    def offered(self, name: str) -> CellValue:
        """Return what the offer says, as text where it could not be read."""
        if self.offer is None:
            return None
        value: CellValue = getattr(self.offer, name)
        unread = json.loads(self.offer.unread) if self.offer.unread else {}
        return unread.get(name) if value is None else value


def workbook_texts(language: Language) -> Texts:
    """Return the words of the workbook in a language."""
    ours = {name: (name, OWN_HEADERS["vi"][name]) for name in OWN_COLUMNS}
    return Texts(language, {**read_words("clustering_pipeline.outputs.workbook"), **ours})


def products_sheet(
    table: pd.DataFrame,
    prices: PriceTables,
    pictures: Mapping[int, Picture],
    tabs: Tabs,
    texts: Texts,
    confirmed: Confirmed,
) -> AddedSheet:
    """Return the sheet with a row per cluster, the largest first; columns of what no row has are
    absent. `table`: as of `cluster_table`; `pictures` by cluster number.
    """
    rows = [
        _Product(
            cluster,
            prices.products.get(
                int(cluster["cluster_id"]), ProductPrices(int(cluster["cluster_id"]), ())
            ),
            int(cluster["cluster_id"]) in confirmed.clusters,
        )
        for cluster in records(table)
    ]
    sheet = _table(
        "Products", tabs, texts, _product_columns(prices, texts), rows, _currency(prices)
    )
    names = sheet.names
    column = names.index("picture") + 1
    placed = {
        (number, column): pictures[one.prices.cluster_id]
        for number, one in enumerate(rows, start=2)
        if one.prices.cluster_id in pictures
    }
    inner = {
        f"{column_letters(names.index('cluster_id') + 1)}{number}": tabs.listing_place(
            one.cluster["sheet"], int(one.cluster["sheet_row"])
        )
        for number, one in enumerate(rows, start=2)
    }
    outer = dict(_product_links(rows, names, prices.review))
    warned = frozenset(
        (number, names.index("far_prices") + 1)
        for number, one in enumerate(rows, start=2)
        if "far_prices" in names and one.prices.far
    )
    return sheet.added(
        pictures=placed,
        inner_links=inner,
        outer_links=outer,
        warned=warned,
        # The end of a name tells sizes apart.
        wrapped=frozenset({names.index("name") + 1}),
    )


def _product_columns(prices: PriceTables, texts: Texts) -> list[_Column]:
    several = _currency(prices) is None
    return [
        _Column("picture", 16, lambda _: None, stays=True),
        _Column("name", 46, lambda one: one.cluster["cluster_name"], stays=True),
        _Column("cluster_id", 11, lambda one: one.prices.cluster_id, stays=True),
        _Column("brand", 18, lambda one: one.prices.brand),
        _Column("listings", 10, lambda one: int(one.cluster["cluster_size"]), COUNT, stays=True),
        _Column("sellers", 10, lambda one: one.prices.sellers or None, COUNT),
        _Column("lowest_price", 14, lambda one: one.prices.lowest, MONEY),
        _Column("median_price", 14, lambda one: one.prices.median, MONEY),
        _Column("highest_price", 14, lambda one: one.prices.highest, MONEY),
        _Column("currency", 10, lambda one: one.prices.currency if several else None),
        _Column("spread", 10, lambda one: one.prices.spread, PERCENT),
        _Column("cheapest_seller", 26, _cheapest_seller),
        _Column("cheapest_link", 15, lambda one: _cheapest_link(one) and texts["open"]),
        _Column("lowest_unit_price", 17, lambda one: one.prices.unit_price, MONEY),
        _Column("unit", 9, lambda one: one.prices.unit),
        _Column("change", 12, lambda one: one.prices.change, CHANGE),
        _Column("sold", 10, lambda one: one.prices.sold, COUNT),
        _Column("far_prices", 11, lambda one: len(one.prices.far) or None, COUNT),
        _Column("certainty", 22, lambda one: texts[one.certainty], stays=True),
        _Column("review", 10, lambda _: texts["open"] if prices.review else None),
    ]


def _cheapest_seller(one: _Product) -> str | None:
    return one.prices.cheapest.seller if one.prices.cheapest else None


def _cheapest_link(one: _Product) -> str | None:
    return one.prices.cheapest.link if one.prices.cheapest else None


def _product_links(
    rows: Sequence[_Product], names: Sequence[str], review: str
) -> Iterable[tuple[str, str]]:
    for number, one in enumerate(rows, start=2):
        link = _cheapest_link(one)
        if link:
            yield f"{column_letters(names.index('cheapest_link') + 1)}{number}", link
        if review:
            yield (
                f"{column_letters(names.index('review') + 1)}{number}",
                f"{review}/{one.prices.cluster_id}",
            )


def _certainty(belief: float) -> str:
    return "sure" if belief > SURE else "look" if belief > LOOK else "doubtful"


def _currency(prices: PriceTables) -> str | None:
    """Return the currency of all prices; None where they have several, or none is known."""
    named = {one.currency for one in prices.offers.values() if one.price is not None}
    return named.pop() if len(named) == 1 else None


def listings_sheet(
    labels: pd.DataFrame,
    titles: Mapping[int, str],
    prices: PriceTables,
    tabs: Tabs,
    texts: Texts,
    confirmed: Confirmed,
) -> AddedSheet:
    """Return the sheet with a row per listing, in the order of the workbook; columns of what no row
    has are absent. `labels`: as of `listing_labels`.
    """
    marked = {offer.listing: one for one in prices.products.values() for offer in one.far}
    rows = [
        _Listing(
            label | {"title": titles.get(int(label["listing"]))},
            prices.offers.get(int(label["listing"])),
            _far_note(marked.get(int(label["listing"])), texts),
            int(label["listing"]) in confirmed.listings,
        )
        for label in records(labels)
    ]
    sheet = _table(
        "Listings", tabs, texts, _listing_columns(prices, texts), rows, _currency(prices)
    )
    names = sheet.names
    inner = {
        f"{column_letters(names.index('product_base_id') + 1)}{number}": tabs.listing_place(
            one.label["sheet"], int(one.label["sheet_row"])
        )
        for number, one in enumerate(rows, start=2)
        if one.label["product_base_id"]
    }
    outer = {
        f"{column_letters(names.index('link') + 1)}{number}": one.offer.link
        for number, one in enumerate(rows, start=2)
        if one.offer and one.offer.link
    }
    warned = frozenset(
        (number, names.index("price") + 1) for number, one in enumerate(rows, start=2) if one.note
    )
    return sheet.added(inner_links=inner, outer_links=outer, warned=warned)


def _far_note(product: ProductPrices | None, texts: Texts) -> str | None:
    if product is None:
        return None
    return texts["far_note"].format(money(product.median, product.currency, texts.language))


def _listing_columns(prices: PriceTables, texts: Texts) -> list[_Column]:
    several = _currency(prices) is None

    def offered(name: str, width: float, form: str = "") -> _Column:
        return _Column(name, width, lambda one: one.offered(name), form)

    def labelled(name: str, width: float, form: str = "") -> _Column:
        return _Column(name, width, lambda one: one.label[name], form, stays=True)

    return [
        labelled("product_base_id", 18),
        labelled("title", 56),
        _Column("cluster_id", 11, _cluster_number, stays=True),
        labelled("cluster_name", 40),
        _Column("status", 16, lambda one: texts[f"status_{one.label['status']}"], stays=True),
        _Column("confidence", 11, lambda one: one.label["confidence"], PERCENT),
        _Column("certainty", 22, lambda one: one.certainty and texts[one.certainty]),
        offered("brand", 18),
        offered("seller", 24),
        offered("place", 18),
        offered("price", 14, MONEY),
        offered("price_high", 14, MONEY),
        offered("list_price", 14, MONEY),
        offered("discount", 10, PERCENT),
        _Column("currency", 10, lambda one: one.offered("currency") if several else None),
        offered("unit_price", 14, MONEY),
        offered("unit", 9),
        offered("sold", 10, COUNT),
        offered("rating", 9, STARS),
        offered("reviews", 10, COUNT),
        offered("observed_on", 12),
        offered("link", 30),
        _Column("price_note", 44, lambda one: one.note),
    ]


def _cluster_number(one: _Listing) -> int | None:
    number = one.label["cluster_id"]
    return None if number is None or int(number) < 0 else int(number)


@dataclass(frozen=True)
class _Table:
    """A sheet before its links and pictures, with the names of its columns."""

    sheet: AddedSheet
    names: list[str]

    def added(self, **parts: Any) -> AddedSheet:
        return AddedSheet(**{**vars(self.sheet), **parts})


def _table(
    name: str,
    tabs: Tabs,
    texts: Texts,
    columns: Sequence[_Column],
    rows: Sequence[Any],
    currency: str | None,
) -> _Table:
    values = [[column.value(row) for row in rows] for column in columns]
    shown = [
        (column, cells)
        for column, cells in zip(columns, values, strict=True)
        if column.stays or any(cell is not None for cell in cells)
    ]
    forms = {
        number: number_format(currency, has_cents=_has_cents(cells))
        if column.form == MONEY
        else column.form
        for number, (column, cells) in enumerate(shown, start=1)
        if column.form
    }
    sheet = AddedSheet(
        tabs.own[name],
        [texts[column.name] for column, _ in shown],
        [list(cells) for cells in zip(*(cells for _, cells in shown), strict=True)],
        [column.width for column, _ in shown],
        formats=forms,
        table=f"cp_{name}",
    )
    return _Table(sheet, [column.name for column, _ in shown])


def _has_cents(cells: Iterable[CellValue]) -> bool:
    return any(isinstance(cell, float) and not cell.is_integer() for cell in cells)
