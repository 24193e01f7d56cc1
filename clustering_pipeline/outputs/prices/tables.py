"""The prices of a category as a table to take away: CSV and xlsx."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

import openpyxl
from openpyxl.cell import WriteOnlyCell
from openpyxl.utils import get_column_letter

from clustering_pipeline.core.delimited import guarded
from clustering_pipeline.outputs.prices.money import number_format
from clustering_pipeline.outputs.prices.products import ProductPrices

COLUMNS = (
    "cluster_id",
    "name",
    "brand",
    "listings",
    "sellers",
    "lowest_price",
    "median_price",
    "highest_price",
    "currency",
    "spread",
    "cheapest_seller",
    "cheapest_link",
    "lowest_unit_price",
    "unit",
    "change",
    "sold",
    "far_prices",
)
AMOUNTS = ("lowest_price", "median_price", "highest_price", "lowest_unit_price")
SHARES = ("spread", "change")
WIDTHS = {"name": 46, "cheapest_seller": 26, "cheapest_link": 40}
DECIMALS = 4


def price_rows(products: Iterable[ProductPrices], names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return a row per product with the columns `COLUMNS`; None where nothing is known. `names`: by
    cluster number.
    """
    return [_row(product, names.get(product.cluster_id, "")) for product in products]


def _row(product: ProductPrices, name: str) -> dict[str, Any]:
    cheapest = product.cheapest
    values = (
        product.cluster_id,
        name or None,
        product.brand,
        len(product.offers),
        product.sellers or None,
        product.lowest,
        product.median,
        product.highest,
        product.currency,
        _rounded(product.spread),
        cheapest.seller if cheapest else None,
        cheapest.link if cheapest else None,
        product.unit_price,
        product.unit,
        _rounded(product.change),
        product.sold,
        len(product.far),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)


def prices_csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the rows of `price_rows` as UTF-8 with a byte order mark; text that a spreadsheet
    would take for a formula gets an apostrophe.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(_csv_text(row[name]) for name in COLUMNS)
    return buffer.getvalue().encode("utf-8-sig")


def _csv_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return guarded(value) if isinstance(value, str) else str(value)


def prices_xlsx(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the rows of `price_rows` as a workbook with a frozen header and a filter; text stays
    text whatever it begins with.
    """
    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet("Prices")
    sheet.freeze_panes = "A2"
    for number, name in enumerate(COLUMNS, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = WIDTHS.get(name, 14)
    sheet.append(COLUMNS)
    count = 1
    for row in rows:
        sheet.append([_cell(sheet, name, row) for name in COLUMNS])
        count += 1
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(COLUMNS))}{count}"
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


def _cell(sheet: Any, name: str, row: Mapping[str, Any]) -> WriteOnlyCell:
    value = row[name]
    cell = WriteOnlyCell(sheet, value)
    if isinstance(value, str):
        cell.data_type = "s"
        cell.quotePrefix = value != guarded(value)
    elif name in AMOUNTS and value is not None:
        cell.number_format = number_format(row["currency"], has_cents=not float(value).is_integer())
    elif name in SHARES:
        cell.number_format = "0%"
    return cell
