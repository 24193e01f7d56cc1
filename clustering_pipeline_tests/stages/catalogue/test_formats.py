"""Tables of every format and encoding, also under a name that lies, and files that are no tables at
all.
"""

import io
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue import read_workbook

DATA = Path(__file__).parent / "data"
ROWS = (
    "mã sản phẩm{0}hình ảnh{0}tên\n0012{0}https://shop.vn/1.jpg{0}Kem chống nắng\n"
    "1234567890123456789{0}https://shop.vn/2.jpg{0}Sữa rửa mặt\n"
)


def read(content, name="catalogue.xlsx", **options):
    return read_workbook(content, name, CatalogueSettings(**options))


def excel(*rows):
    workbook = openpyxl.Workbook()
    for row in rows:
        workbook.active.append(row)
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


def with_part(content, part, change):
    """The workbook with one part of its archive changed."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == part else old.read(name))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["c.csv", "c.xlsx"])
def test_delimited_text_in_any_encoding_and_under_any_name(encoding, delimiter, name):
    listings = read(ROWS.format(delimiter).encode(encoding), name).listings
    assert list(listings["product_base_id"]) == ["0012", "1234567890123456789"]
    assert list(listings["title"]) == ["Kem chống nắng", "Sữa rửa mặt"]
    assert listings["usable"].all()


def test_vietnamese_in_cp1258():
    text = "id,image,tên\n" + "".join(
        f"{n},https://a.vn/{n}.jpg,Kem dưỡng ẩm cho da dầu và sữa rửa mặt {n}\n" for n in range(50)
    )
    decomposed = text.encode("cp1258", errors="ignore") if _fits(text) else _cp1258(text)
    listings = read(decomposed, "c.csv").listings
    assert listings["title"][0] == "Kem dưỡng ẩm cho da dầu và sữa rửa mặt 0"


def _fits(text):
    try:
        text.encode("cp1258")
    except UnicodeEncodeError:
        return False
    return True


def _cp1258(text):
    """Text as Windows writes it: base letters with their own code, tones as combining marks."""
    import unicodedata

    pieces = []
    for letter in text:
        marks = unicodedata.normalize("NFD", letter)
        tones = [mark for mark in marks[1:] if mark in "\u0300\u0301\u0303\u0309\u0323"]
        base = unicodedata.normalize("NFC", "".join(mark for mark in marks if mark not in tones))
        pieces.append(base + "".join(tones))
    return "".join(pieces).encode("cp1258")


def test_western_text_in_cp1252():
    text = "id;image;name\n" + "".join(
        f"{n};https://a.fr/{n}.jpg;Crème hydratante légère – à l'aloès {n} €\n" for n in range(50)
    )
    assert (
        read(text.encode("cp1252"), "c.csv").listings["title"][0]
        == "Crème hydratante légère – à l'aloès 0 €"
    )


def test_line_breaks_and_quotes_within_cells():
    text = (
        'id,image,name\r\n1,https://a.vn/1.jpg,"two\r\nlines, '
        '""quoted"""\r\n2,https://a.vn/2.jpg,x\r\n'
    )
    listings = read(text.encode(), "c.csv").listings
    assert list(listings["title"]) == ['two\r\nlines, "quoted"', "x"]
    assert list(listings["sheet_row"]) == [2, 3]


def test_a_quote_that_never_closes_swallows_no_rows():
    rows = [
        f"{number},https://a.vn/{number}.jpg,{chr(34) if number == 3 else ''}name {number}"
        for number in range(20)
    ]
    read_back = read("\n".join(["id,image,name", *rows]).encode(), "c.csv")
    assert list(read_back.listings["product_base_id"]) == [str(number) for number in range(20)]
    assert "never closes" in read_back.facts["remarks"]


@pytest.mark.parametrize("suffix", ["xls", "ods"])
def test_older_and_open_document_workbooks(suffix):
    result = read((DATA / f"catalogue.{suffix}").read_bytes(), f"catalogue.{suffix}")
    listings = result.listings
    assert list(listings["product_base_id"]) == [
        "00123",
        "4567",
        "1234567890123456789",
        "00089",
        "90",
        "90",
    ]
    assert [urls[0][-5:] for urls in listings["urls"]] == [
        "a.jpg",
        "b.jpg",
        "c.jpg",
        "d.jpg",
        "e.jpg",
        "f.jpg",
    ]
    assert list(listings["sheet"].unique()) == ["Sản phẩm"]
    assert list(listings["sheet_row"]) == [4, 5, 6, 7, 8, 9]
    assert '"Giá": "240000"' in listings["extra"][1]
    assert result.facts["hidden_rows"] == 1


def test_parquet_with_lists_of_pictures_and_large_ids():
    frame = pd.DataFrame(
        {
            "sku": [1234567890123456789, 5],
            "images": [["https://a.vn/1.jpg", "https://a.vn/2.jpg"], []],
        }
    )
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    listings = read(buffer.getvalue(), "c.parquet", images_per_listing="all").listings
    assert list(listings["product_base_id"]) == ["1234567890123456789", "5"]
    assert [list(urls) for urls in listings["urls"]] == [
        ["https://a.vn/1.jpg", "https://a.vn/2.jpg"],
        [],
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x00\x01\x02\xff" * 400, "neither a workbook nor text"),
        (b"PK\x03\x04 half a workbook", "damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "damaged"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
            + "EncryptedPackage".encode("utf-16-le")
            + bytes(2000),
            "password",
        ),
        (b"%PDF-1.7 ...", "PDF"),
        (b"<!DOCTYPE html><html>login</html>", "web page"),
        (b"<table border=1><tr><th>id</th><th>image</th></tr></table>", "save it as .xlsx"),
        (b"\xef\xbb\xbf<meta charset=utf-8><table><tr><td>id</td></tr></table>", "web page"),
        ("\ufeff<div>id</div>".encode("utf-16-le"), "web page"),
        (b'<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook/>', "XML"),
        (b"\xff\xd8\xff\xe0 jfif", "JPEG"),
        (b"\n\n  \n", "empty"),
        (b"PAR1 nothing", "damaged"),
    ],
)
def test_what_is_no_table_is_named(content, words):
    with pytest.raises(InputError, match=words):
        read(content)


def test_an_empty_workbook_is_named():
    with pytest.raises(InputError, match="no sheet has a filled cell"):
        read(excel())


def test_a_zip_bomb_is_refused_before_it_is_unpacked():
    bomb = with_part(
        excel(["id", "image"]), "xl/worksheets/sheet1.xml", lambda _: b" " * (3 * 2**20)
    )
    with pytest.raises(InputError, match="zip bomb"):
        read(bomb, max_uncompressed_megabytes=2)


def test_a_part_longer_than_it_declares_is_refused():
    content = excel(["id", "image"], [1, "https://a.vn/1.jpg"])
    size = len(zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml"))
    lying = content.replace(size.to_bytes(4, "little"), (size - 40).to_bytes(4, "little"))
    with pytest.raises(InputError, match="damaged"):
        read(lying)


def test_entities_are_refused():
    bomb = (
        b'<?xml version="1.0"?><!DOCTYPE w [<!ENTITY a "aaaa"><!ENTITY b '
        b'"&a;&a;">]><worksheet>&b;</worksheet>'
    )
    with pytest.raises(InputError, match="entities"):
        read(with_part(excel(["id", "image"]), "xl/worksheets/sheet1.xml", lambda _: bomb))


def test_a_sheet_in_utf16_is_refused_instead_of_read_as_empty():
    content = with_part(
        excel(["id", "image"]),
        "xl/worksheets/sheet1.xml",
        lambda sheet: sheet.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    )
    with pytest.raises(InputError, match="UTF-16"):
        read(content)


@pytest.mark.parametrize(
    "cell",
    ['<c r="XFD1048576"><v>1</v></c>', '<c r="XFD1048576" t="inlineStr"><is><t></t></is></c>'],
)
def test_a_stray_cell_far_away_allocates_nothing(cell):
    def stray(sheet):
        return sheet.replace(b"</sheetData>", f'<row r="1048576">{cell}</row></sheetData>'.encode())

    with pytest.raises(InputError, match="max_cells"):
        read(
            with_part(
                excel(["id", "image"], [1, "https://a.vn/1.jpg"]), "xl/worksheets/sheet1.xml", stray
            )
        )


def test_repeated_cells_of_an_open_document_allocate_nothing():
    def repeated(content):
        row = (
            b'<table:table-row table:number-rows-repeated="1000000"><table:table-cell '
            b'table:number-columns-repeated="16000" '
        )
        row += b'office:value-type="float" office:value="1"/></table:table-row>'
        return content.replace(b"</table:table>", row + b"</table:table>", 1)

    with pytest.raises(InputError, match="max_cells"):
        read(with_part((DATA / "catalogue.ods").read_bytes(), "content.xml", repeated), "c.ods")


def test_limits_on_rows_and_sheets_name_their_settings():
    content = excel(["id", "image"], *[[n, f"https://a.vn/{n}.jpg"] for n in range(5)])
    with pytest.raises(InputError, match="max_rows"):
        read(content, max_rows=4)


FILES = {
    "xlsx": excel(["id", "image"], [1, "https://a.vn/1.jpg"]),
    "xls": (DATA / "catalogue.xls").read_bytes(),
    "ods": (DATA / "catalogue.ods").read_bytes(),
}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    suffix=st.sampled_from(sorted(FILES)),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)),
        min_size=1,
        max_size=6,
    ),
    cut=st.floats(0.2, 1),
)
def test_damaged_workbooks_are_read_or_refused_in_words(suffix, changes, cut):
    content = bytearray(FILES[suffix])
    for place, replacement in changes:
        start = int(place * len(content))
        content[start : start + len(replacement)] = replacement
    try:
        read(bytes(content[: int(cut * len(content))]), f"c.{suffix}")
    except InputError as error:
        assert str(error)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused_in_words(content):
    try:
        read(content, "c.csv")
    except InputError as error:
        assert str(error)


@pytest.mark.parametrize(
    "trap",
    [
        "<mergeCells>{}</mergeCells>".format('<mergeCell ref="A1:A1048576"/>' * 5000),
        "<hyperlinks>{}</hyperlinks>".format(
            '<hyperlink ref="A1:A1048576" xmlns:r="r" r:id="x"/>' * 5000
        ),
    ],
)
def test_ranges_that_overlap_without_end_are_refused(trap):
    rows = [["id", "image"], *[[number, f"https://a.vn/{number}.jpg"] for number in range(200)]]
    content = with_part(
        excel(*rows),
        "xl/worksheets/sheet1.xml",
        lambda sheet: sheet.replace(b"</sheetData>", b"</sheetData>" + trap.encode()),
    )
    with pytest.raises(InputError, match="overlap"):
        read(content)


def test_an_encrypted_open_document_is_named():
    content = with_part(
        (DATA / "catalogue.ods").read_bytes(),
        "META-INF/manifest.xml",
        lambda part: part + b"<manifest:encryption-data/>",
    )
    with pytest.raises(InputError, match="password"):
        read(content, "c.ods")


def test_a_binary_workbook_names_the_remedy():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.bin", b"\x00")
    with pytest.raises(InputError, match=r"save it as \.xlsx"):
        read(buffer.getvalue(), "c.xlsb")
