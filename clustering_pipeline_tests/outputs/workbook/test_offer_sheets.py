"""The sheets Products and Listings."""

import io
from datetime import UTC, date, datetime

import openpyxl
import pandas as pd
import pytest

from clustering_pipeline.core.manifests import CORRECTIONS, conform, empty
from clustering_pipeline.outputs.workbook import WorkbookNotes
from clustering_pipeline.settings import CatalogueSettings, OfferSettings
from clustering_pipeline.stages.catalogue import read_workbook
from clustering_pipeline.stages.offers import PriceHistory, read_offers
from clustering_pipeline.storage import FileTree
from clustering_pipeline_tests.outputs.workbook.builders import (
    clusters_for,
    label,
    listings,
    workbook_bytes,
)

HEADER = [
    "product_base_id",
    "url_thumbnail",
    "name",
    "Giá bán",
    "Shop",
    "Link sản phẩm",
    "Đã bán",
    "Ngày cập nhật",
]


def offered(*offers: tuple[str, str]) -> list[list[str]]:
    """Rows of one product each two, with a price and a shop."""
    return [
        [*row[:2], "Kem chống nắng 50ml", price, shop, f"https://{shop}.vn/1", "1,2k", "05/11/2026"]
        for row, (price, shop) in zip(listings(len(offers)), offers, strict=True)
    ]


def labelled(tmp_path, rows, readings=(), corrections=None, **columns):
    content = workbook_bytes(rows, sheet="shop")
    catalogue = read_workbook(content, "c.xlsx", CatalogueSettings()).listings
    return label(
        content,
        tmp_path,
        catalogue=catalogue,
        clusters=lambda frame: clusters_for(frame, **columns),
        offers=read_offers(catalogue, OfferSettings())[0],
        corrections=empty(CORRECTIONS) if corrections is None else corrections,
        notes=WorkbookNotes(readings=readings, review="http://127.0.0.1:8000/c/kem/review"),
    )


def sheet_of(content, name):
    return openpyxl.load_workbook(io.BytesIO(content))[name]


def columns_of(sheet) -> dict[str, list]:
    header, *rows = sheet.iter_rows()
    return {
        cell.value: [row[number] for row in rows]
        for number, cell in enumerate(header)
        if cell.value
    }


def values_of(sheet) -> dict[str, list]:
    return {name: [cell.value for cell in cells] for name, cells in columns_of(sheet).items()}


@pytest.fixture
def workbook(tmp_path):
    rows = [HEADER, *offered(("120.000đ", "a"), ("99k", "b"), ("Liên hệ", "c"), ("1,2tr", "a"))]
    return labelled(tmp_path, rows)


def test_a_row_per_product_with_its_prices(workbook):
    values = values_of(sheet_of(workbook, "Products"))
    assert values["cluster_id"] == [1, 2]
    assert values["listings"] == [2, 2]
    assert values["sellers"] == [2, 2]
    assert values["lowest_price"] == [99_000, 1_200_000]
    assert values["highest_price"] == [120_000, 1_200_000]
    assert values["spread"][0] == pytest.approx(0.2121, abs=1e-3)
    assert values["cheapest_seller"] == ["b", "a"]
    assert values["lowest_unit_price"] == [198_000, 2_400_000]
    assert values["unit"] == ["100 ml"] * 2
    assert values["sold"] == [2400, 2400]
    assert values["certainty"] == ["worth a look"] * 2


def test_money_and_shares_look_like_it_and_dates_are_dates(workbook):
    products, rows = (columns_of(sheet_of(workbook, name)) for name in ("Products", "Listings"))
    assert products["lowest_price"][0].number_format == '#,##0\\ "₫"_0'
    assert products["spread"][0].number_format == "0%_0"
    assert rows["observed_on"][0].value == datetime(2026, 11, 5)
    assert rows["observed_on"][0].is_date


def test_long_names_are_told_to_their_end(workbook):
    for sheet, column in (("Products", "name"), ("Clusters", "cluster_name")):
        for cell in columns_of(sheet_of(workbook, sheet))[column]:
            assert cell.alignment.wrap_text


def test_links_lead_to_the_cheapest_offer_the_review_page_and_the_listing(workbook):
    products = columns_of(sheet_of(workbook, "Products"))
    assert products["cheapest_link"][0].hyperlink.target == "https://b.vn/1"
    assert products["review"][1].hyperlink.target == "http://127.0.0.1:8000/c/kem/review/2"
    assert products["cluster_id"][0].hyperlink.location.startswith("'shop'!")


def test_a_row_per_listing_and_what_was_not_read_as_it_stood(workbook):
    values = values_of(sheet_of(workbook, "Listings"))
    assert values["price"] == [120_000, 99_000, "Liên hệ", 1_200_000]
    assert values["seller"] == ["a", "b", "c", "a"]
    assert values["cluster_id"] == [1, 1, 2, 2]
    assert "currency" not in values
    assert "place" not in values


def test_both_are_tables_with_a_frozen_header(workbook):
    for name, last in (("Products", 3), ("Listings", 5)):
        sheet = sheet_of(workbook, name)
        (table,) = sheet.tables.values()
        assert table.ref.endswith(str(last))
        assert [column.name for column in table.tableColumns] == [cell.value for cell in sheet[1]]
        assert sheet.freeze_panes == "A2"


def test_a_far_price_is_marked_and_said(tmp_path):
    prices = [(price, f"s{n}") for n, price in enumerate(["100k", "101k", "99k", "450k"])]
    content = labelled(tmp_path, [HEADER, *offered(*prices)], cluster_id=1, cluster_size=4)
    rows = columns_of(sheet_of(content, "Listings"))
    notes = [cell.value for cell in rows["price_note"]]
    assert notes[:3] == [None] * 3
    assert "100,500 ₫" in notes[3] or "100,500" in notes[3]
    fills = [cell.fill.fgColor.rgb for cell in rows["price"]]
    assert fills[3] == "FFFBECCB"
    assert fills[0] != fills[3]
    assert values_of(sheet_of(content, "Products"))["far_prices"] == [1]


def test_the_change_since_the_last_reading(tmp_path):
    history = PriceHistory(FileTree(str(tmp_path / "history")), "kem")
    for number, price in enumerate(("100k", "90k")):
        rows = [HEADER, *[[*row[:-1], ""] for row in offered((price, "a"), (price, "b"))]]
        catalogue = read_workbook(workbook_bytes(rows), "c.xlsx", CatalogueSettings()).listings
        offers = read_offers(catalogue, OfferSettings())[0]
        moment = datetime(2026, 11, 1 + number, tzinfo=UTC)
        history.keep(catalogue, offers, f"{number}" * 64, moment)
    content = labelled(tmp_path, rows, history.readings())
    change = columns_of(sheet_of(content, "Products"))["change"][0]
    assert change.value == pytest.approx(-0.1)
    assert change.number_format == "+0%_0;\\-0%_0;0%_0"


def test_without_prices_their_columns_are_absent(tmp_path):
    content = labelled(tmp_path, [HEADER[:3], *[row[:3] for row in offered(("", "a"), ("", "b"))]])
    assert list(values_of(sheet_of(content, "Products"))) == [
        "picture",
        "name",
        "cluster_id",
        "listings",
        "certainty",
        "review",
    ]
    assert list(values_of(sheet_of(content, "Listings"))) == [
        "product_base_id",
        "title",
        "cluster_id",
        "cluster_name",
        "status",
        "confidence",
        "certainty",
    ]


def test_text_that_looks_like_a_formula_stays_text(tmp_path):
    evil = '=HYPERLINK("http://evil.vn")'
    rows = [HEADER, *offered(("100k", "a"), ("100k", "b"))]
    rows[1][4] = rows[1][2] = evil
    rows[1][3] = "=1+1"
    content = labelled(tmp_path, rows)
    for name in ("Products", "Listings"):
        for cells in sheet_of(content, name).iter_rows(min_row=2):
            assert all(cell.data_type != "f" for cell in cells)


def said(*pairs):
    """A manifest of what people called one product."""
    frame = pd.DataFrame(pairs, columns=["id_a", "id_b"], dtype=object)
    frame = frame.assign(number=range(1, len(frame) + 1), kind="same", author="Lan", time="t")
    return conform(frame.reindex(columns=CORRECTIONS.schema.names), CORRECTIONS)


def test_what_a_person_confirmed_says_so(tmp_path):
    rows = [HEADER, *offered(*[("100k", "a")] * 4)]
    content = labelled(tmp_path, rows, corrections=said(("0000", "0001"), ("0001", "0002")))
    confirmed = "confirmed by a person"
    products, listed = (values_of(sheet_of(content, name)) for name in ("Products", "Listings"))
    assert products["certainty"] == [confirmed, "worth a look"]
    assert listed["certainty"] == [confirmed, confirmed, "worth a look", "worth a look"]
    assert columns_of(sheet_of(content, "Listings"))["confidence"][2].number_format == "0%_0"


def test_a_cluster_of_which_a_part_is_confirmed_is_not(tmp_path):
    rows = [HEADER, *offered(*[("100k", "a")] * 4)]
    content = labelled(
        tmp_path, rows, corrections=said(("0000", "0001")), cluster_id=1, cluster_size=4
    )
    products, listed = (values_of(sheet_of(content, name)) for name in ("Products", "Listings"))
    assert products["certainty"] == ["worth a look"]
    assert listed["certainty"] == ["confirmed by a person"] * 2 + ["worth a look"] * 2


def test_two_currencies_have_a_column(tmp_path):
    rows = [HEADER, *offered(("100.000đ", "a"), ("90.000đ", "b"), ("$5.50", "c"), ("$6", "d"))]
    values = values_of(sheet_of(labelled(tmp_path, rows), "Products"))
    assert values["currency"] == ["VND", "USD"]
    assert values["lowest_price"] == [90_000, 5.5]


def test_dates_of_a_cluster_are_dates(tmp_path):
    content = workbook_bytes()
    seen = {1: (date(2026, 11, 1), date(2026, 11, 8))}
    cells = columns_of(
        sheet_of(label(content, tmp_path, notes=WorkbookNotes(cluster_dates=seen)), "Clusters")
    )
    assert cells["first_seen"][0].is_date
    assert cells["first_seen"][0].value == datetime(2026, 11, 1)
    assert cells["lowest_confidence"][0].number_format == "0%"
