"""Which rows and columns of a sheet are listings, and what is said about the odd ones."""

import datetime
import json

import openpyxl
import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue import category_values, read_workbook
from clustering_pipeline_tests.stages.catalogue.test_formats import excel, read, with_part

SHEET = "xl/worksheets/sheet1.xml"


def build(prepare):
    """An .xlsx made by `prepare(workbook, sheet)`."""
    import io

    workbook = openpyxl.Workbook()
    prepare(workbook, workbook.active)
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("identifier", "picture"),
    [
        ("product_base_id", "url_thumbnail"),
        ("Mã sản phẩm *", "Hình ảnh"),
        ("SKU", "Image Src"),
        ("item_id", "main_photo"),
        ("ID", "Link ảnh"),
        ("Product ID", "Thumbnail"),
    ],
)
def test_usual_headers_are_recognised_and_reported(identifier, picture):
    result = read(
        excel(["stt", "ghi chú", picture, identifier], [1, "x", "https://a.vn/1.jpg", "A1"])
    )
    assert list(result.listings["product_base_id"]) == ["A1"]
    assert repr(identifier) in result.facts["columns"] and repr(picture) in result.facts["columns"]


def test_named_columns_win_over_usual_names():
    content = excel(
        ["id", "mã riêng", "image", "ảnh gốc"],
        ["1", "R1", "https://a.vn/1.jpg", "https://a.vn/big.jpg"],
    )
    listings = read(content, id_column="Mã riêng", url_column="ảnh gốc").listings
    assert (listings["product_base_id"][0], listings["urls"][0]) == ("R1", ["https://a.vn/big.jpg"])


def test_columns_are_named_by_letter_where_there_is_no_header():
    content = "99\t20\thttps://a.vn/1.jpg\n98\t21\thttps://a.vn/2.jpg\n".encode("utf-16")
    listings = read(content, "c.csv", header_row=0, id_column="B", url_column="C").listings
    assert list(listings["product_base_id"]) == ["20", "21"]
    assert list(listings["sheet_row"]) == [1, 2]


def test_missing_columns_are_named_with_what_is_there_and_closest():
    with pytest.raises(
        InputError, match=r"'ma_hieu'.*'ten_hang'.*closest to 'product_base_id' is 'ma_hieu'"
    ):
        read(excel(["ma_hieu", "ten_hang", "gia"], ["1", "x", 3]))


def test_a_table_without_headers_is_told_which_columns_look_right():
    rows = [[f"A{number}", f"Kem {number}", f"https://a.vn/{number}.jpg"] for number in range(9)]
    with pytest.raises(
        InputError, match=r"header_row=0 --set catalogue\.id_column=A --set catalogue\.url_column=C"
    ):
        read(excel(*rows))


def test_a_named_sheet_that_is_missing_lists_the_sheets():
    with pytest.raises(InputError, match="'Sheet'"):
        read(excel(["id", "image"], [1, "https://a.vn/1.jpg"]), sheets=("Tháng 5",))


def test_every_sheet_with_the_columns_is_read_in_order():
    def sheets(workbook, first):
        first.append(["id", "image"])
        first.append([1, "https://a.vn/1.jpg"])
        workbook.create_sheet("note").append(["hello"])
        other = workbook.create_sheet("more")
        for row in ([], ["Báo cáo"], ["image", "id"], ["https://a.vn/2.jpg", 2]):
            other.append(row)

    listings = read(build(sheets)).listings
    assert list(zip(listings["sheet"], listings["sheet_row"], strict=True)) == [
        ("Sheet", 2),
        ("more", 4),
    ]


def test_blank_rows_are_no_listings_and_rows_without_the_essentials_say_why():
    content = excel(
        ["id", "image", "x"],
        [1, "https://a.vn/1.jpg"],
        [],
        [None, None, "Tổng"],
        [3, "n/a"],
        ["ID", "image"],
    )
    listings = read(content).listings
    assert list(listings["sheet_row"]) == [2, 4, 5, 6]
    assert list(listings["usable"]) == [True, False, False, False]
    assert [
        word in reason
        for word, reason in zip(
            ["empty", "web address", "header"], listings["reason"][1:], strict=True
        )
    ] == [True] * 3


def test_a_cell_longer_than_one_of_excel_is_no_id_and_no_address_and_a_title_ends_there():
    url, long = "https://a.vn/1.jpg", "x" * 40_000
    text = f"id,image,title\n{long},{url},a\n2,{url}?{long},b\n3,{url},{long}\n"
    listings = read(text.encode(), "c.csv").listings
    assert list(listings["usable"]) == [False, False, True]
    assert all("over the limit of 32,767" in reason for reason in listings["reason"][:2])
    assert listings["title"][2] == "x" * 32_767


def test_numbers_as_text_and_text_as_numbers_are_the_same_id():
    def cells(_, sheet):
        for row in (
            ["id", "image"],
            [12, "https://a.vn/1.jpg"],
            ["012", "https://a.vn/2.jpg"],
            [12, "https://a.vn/3.jpg"],
        ):
            sheet.append(row)
        sheet["A4"].number_format = "00000"
        sheet["A2"].number_format = "@"

    assert list(read(build(cells)).listings["product_base_id"]) == ["12", "012", "00012"]


def test_a_19_digit_id_is_kept_to_its_last_digit():
    content = excel(
        ["id", "image"], ["1234567890123456789", "https://a.vn/1.jpg"], [777, "https://a.vn/2.jpg"]
    )
    content = with_part(
        content, SHEET, lambda sheet: sheet.replace(b"<v>777</v>", b"<v>1234567890123456781</v>")
    )
    listings = read(content).listings
    assert list(listings["product_base_id"]) == ["1234567890123456789", "1234567890123456781"]
    assert listings["reason"].isna().all()


@pytest.mark.parametrize("number", [b"1.23E+17", b"123000000000000000", b"1.2345678901234567E+18"])
def test_an_id_that_excel_rounded_is_flagged(number):
    content = excel(["id", "image"], [777, "https://a.vn/1.jpg"])
    content = with_part(
        content, SHEET, lambda sheet: sheet.replace(b"<v>777</v>", b"<v>" + number + b"</v>")
    )
    listings = read(content).listings
    assert listings["usable"][0]
    assert listings["product_base_id"][0].isdigit()
    assert "rounded" in listings["reason"][0]


def test_scientific_text_and_dates_as_ids_are_flagged():
    content = excel(
        ["id", "image"],
        ["1.23E+17", "https://a.vn/1.jpg"],
        [datetime.date(2024, 5, 1), "https://a.vn/2.jpg"],
    )
    listings = read(content).listings
    assert ["scientific" in listings["reason"][0], "date" in listings["reason"][1]] == [True, True]
    assert list(listings["product_base_id"]) == ["1.23E+17", "2024-05-01"]


def test_an_id_on_several_rows_is_kept_and_reported():
    content = excel(
        ["id", "image"],
        ["a", "https://a.vn/1.jpg"],
        ["b", "https://a.vn/2.jpg"],
        ["a", "https://a.vn/3.jpg"],
    )
    result = read(content)
    assert list(result.listings["product_base_id"]) == ["a", "b", "a"]
    assert result.listings["usable"].all()
    assert result.listings["reason"][2] == "the id a is on 2 rows (2, 4)"
    assert result.facts["ids_on_several_rows"] == 2


def test_a_merged_id_holds_for_all_rows_that_it_covers():
    def merged(_, sheet):
        for row in (
            ["id", "image"],
            ["a", "https://a.vn/1.jpg"],
            [None, "https://a.vn/2.jpg"],
            ["b", "https://a.vn/3.jpg"],
        ):
            sheet.append(row)
        sheet.merge_cells("A2:A3")

    assert list(read(build(merged)).listings["product_base_id"]) == ["a", "a", "b"]


def test_hidden_rows_are_listings_too():
    def hidden(_, sheet):
        for row in (["id", "image"], ["a", "https://a.vn/1.jpg"], ["b", "https://a.vn/2.jpg"]):
            sheet.append(row)
        sheet.row_dimensions[2].hidden = True

    result = read(build(hidden))
    assert len(result.listings) == 2 and result.facts["hidden_rows"] == 1


def test_a_link_behind_a_text_counts():
    def links(_, sheet):
        for row in (
            ["id", "image"],
            ["a", "xem ảnh"],
            ["b", '=HYPERLINK("https://a.vn/2.jpg","ảnh")'],
            ["c", '=IMAGE("https://a.vn/3.jpg")'],
        ):
            sheet.append(row)
        sheet["B2"].hyperlink = "https://a.vn/1.jpg"

    listings = read(build(links)).listings
    assert [urls[0] for urls in listings["urls"]] == [
        f"https://a.vn/{number}.jpg" for number in (1, 2, 3)
    ]


def test_a_formula_that_was_never_computed_says_so():
    listings = read(
        excel(["id", "image"], ['="A"&1', "https://a.vn/1.jpg"], ["b", '=C3&".jpg"'])
    ).listings
    assert not listings["usable"].any()
    assert all("never" in reason or "computed" in reason for reason in listings["reason"])


def test_every_other_column_is_carried_along():
    content = excel(
        ["id", "image", "giá", "giá", None, "ngày"],
        ["a", "https://a.vn/1.jpg", 12.50, "0012", "x", datetime.date(2024, 5, 1)],
    )
    extra = json.loads(read(content).listings["extra"][0])
    assert extra == {"giá": "12.5", "giá (2)": "0012", "E": "x", "ngày": "2024-05-01"}


@pytest.mark.parametrize(("which", "count"), [("first", 1), ("all", 3)])
def test_several_pictures_of_one_cell(which, count):
    cell = "https://a.vn/1.jpg\nhttps://a.vn/2.jpg,https://a.vn/3.jpg"
    assert (
        len(
            read(excel(["id", "images"], ["a", cell]), images_per_listing=which).listings["urls"][0]
        )
        == count
    )


def test_the_categories_of_one_workbook():
    content = excel(
        ["id", "image", "Ngành"],
        [1, "https://a.vn/1.jpg", "Toner"],
        [2, "https://a.vn/2.jpg", "Kem"],
        [3, "x", "Toner"],
    )
    settings = CatalogueSettings()
    assert category_values(content, "c.xlsx", "ngành", settings) == ["Toner", "Kem"]
    kept = read_workbook(content, "c.xlsx", settings, category=("ngành", "Toner")).listings
    assert list(kept["sheet_row"]) == [2, 4]
    with pytest.raises(InputError, match="--category-column"):
        category_values(content, "c.xlsx", "brand", settings)
