"""What single cells of a workbook say: formulas that build a link, numbers as they are shown, errors,
and formulas without a result.
"""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering_pipeline.stages.catalogue.addresses import FormulaError, LinkFormula
from clustering_pipeline.stages.catalogue.formats.sheet_details import number_format
from clustering_pipeline_tests.stages.catalogue.test_formats import DATA, excel, read, with_part
from clustering_pipeline_tests.stages.catalogue.test_listings import SHEET, build

CELLS = {(2, 1): "A0", (3, 1): "A1", (2, 3): "http://a.vn/"}


@pytest.mark.parametrize(
    ("formula", "address"),
    [
        ('_xlfn.IMAGE("http://a.vn/"&A2&".jpg")', "http://a.vn/A0.jpg"),
        ('HYPERLINK(CONCATENATE("http://a.vn/",$A$2,".jpg"),"xem")', "http://a.vn/A0.jpg"),
        ('IMAGE(C2&("p/"&A3)&1&".jpg", "alt", 3, 100, 100)', "http://a.vn/p/A11.jpg"),
        ('IF(A2="","",IMAGE(C2 & A2))', "http://a.vn/A0"),
        (
            'IFERROR(__xludf.DUMMYFUNCTION("IMAGE(""http://a.vn/""&A2)"),"")',
            "http://a.vn/A0",
        ),
        ('of:=HYPERLINK("http://a.vn/"&[.A2]&".jpg";"xem")', "http://a.vn/A0.jpg"),
    ],
)
def test_a_link_is_built_of_text_cells_and_concatenation(formula, address):
    assert LinkFormula(formula).address(lambda position: CELLS.get(position, "")) == address


@pytest.mark.parametrize(
    "formula",
    [
        'IMAGE("http://a.vn/"&TRIM(A2))',
        "IMAGE(A2:A3)",
        'IMAGE(Sheet2!A2&".jpg")',
        "IMAGE(Table1[[#This Row],[url]])",
        'IMAGE("http://a.vn/"&A2',
        "IMAGE(" + "(" * 100 + "A2",
        "IMAGE(" + "&".join(["C9"] * 400) + ")",
    ],
)
def test_what_is_not_understood_is_never_half_an_address(formula):
    cells = {(9, 3): "x" * 100}
    with pytest.raises(FormulaError):
        LinkFormula(formula).address(lambda position: cells.get(position, ""))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet='IMAGE(HYPERLINK"&,;)A1$[. x', max_size=60))
def test_any_text_of_a_formula_is_followed_or_refused(text):
    try:
        LinkFormula("IMAGE(" + text).address(lambda position: "x")
    except FormulaError as error:
        assert str(error)


def with_formulas(*formulas, kind=' t="e"', value="#VALUE!"):
    rows = [["id", "image"], *([f"A{n}", f"cell {n}"] for n in range(len(formulas)))]

    def put(sheet):
        cells = iter(formulas)
        return re.sub(
            rb'(<c r="B(?!1")\d+").*?</c>',
            lambda found: found[1] + f"{kind}>{next(cells)}<v>{value}</v></c>".encode(),
            sheet,
        )

    return with_part(excel(*rows), SHEET, put)


def test_cells_that_were_filled_down_have_an_address_each():
    first = (
        '<f t="shared" ref="B2:B4" si="0">_xlfn.IMAGE("https://a.vn/"&amp;A2&amp;"-"&amp;$A$2)</f>'
    )
    again = '<f t="shared" si="0"/>'
    listings = read(with_formulas(first, again, again)).listings
    assert [urls[0] for urls in listings["urls"]] == [
        "https://a.vn/A0-A0",
        "https://a.vn/A1-A0",
        "https://a.vn/A2-A0",
    ]


def test_a_formula_that_is_not_understood_says_so_on_its_row():
    formula = '<f>_xlfn.IMAGE("https://a.vn/"&amp;TRIM(A2)&amp;".jpg")</f>'
    reason = read(with_formulas(formula)).listings["reason"][0]
    assert "not understood" in reason and "TRIM" in reason and "as text" in reason


def test_a_formula_that_refers_to_an_error_names_the_cell():
    content = with_formulas('<f>_xlfn.IMAGE("https://a.vn/"&amp;C2)</f>')
    content = with_part(
        content,
        SHEET,
        lambda sheet: sheet.replace(
            b"</row></sheetData>", b'<c r="C2" t="e"><v>#REF!</v></c></row></sheetData>'
        ),
    )
    assert "C2 holds the error #REF!" in read(content).listings["reason"][0]


def test_an_export_of_google_sheets_shows_its_links():
    formula = '<f>IFERROR(__xludf.DUMMYFUNCTION("IMAGE(""https://a.vn/1.jpg"")"),"")</f>'
    assert read(with_formulas(formula, kind="", value="")).listings["urls"][0] == [
        "https://a.vn/1.jpg"
    ]


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (' t="e"', "#N/A", "holds the error #N/A"),
        (' t="str"', "", "result is empty"),
        ("", "", "never computed"),
    ],
)
def test_a_cell_without_a_value_says_why(kind, value, words):
    listings = read(with_formulas("<f>VLOOKUP(A2,Z:Z,1,0)</f>", kind=kind, value=value)).listings
    assert words in listings["reason"][0] and "'image'" in listings["reason"][0]


def test_an_error_is_no_id():
    content = excel(["id", "image"], ["a", "https://a.vn/1.jpg"])
    content = with_part(
        content,
        SHEET,
        lambda sheet: re.sub(
            rb'<c r="A2".*?</c>', b'<c r="A2" t="e"><f>1/0</f><v>#DIV/0!</v></c>', sheet
        ),
    )
    text = b"id,image\n#N/A,https://a.vn/1.jpg\n"
    assert "#DIV/0!" in read(content).listings["reason"][0]
    assert "#N/A" in read(text, "c.csv").listings["reason"][0]


@pytest.mark.parametrize(
    ("code", "digits", "shown"),
    [
        ('"SP"0000', "45", "SP0045"),
        ("000-000", "7", "000-007"),
        ("000-000", "1234567", "1234-567"),
        ("00000", "123456", "123456"),
        ("\\S\\P0;-0", "7", "SP7"),
        ("[$-409]0000", "5", "0005"),
    ],
)
def test_numbers_of_an_id_are_shown_as_their_format_does(code, digits, shown):
    assert number_format(code).show(digits) == shown


@pytest.mark.parametrize(
    "code",
    [
        "General",
        "0",
        "#,##0",
        "0.00",
        "0%",
        "yyyy-mm-dd",
        "# ?/?",
        '0" kg"',
        '"$"0',
        "0E+00",
        "@",
        '"',
    ],
)
def test_amounts_dates_and_plain_numbers_keep_their_value(code):
    assert number_format(code) is None


def test_ids_are_what_their_cells_show():
    def prepare(_, sheet):
        for row in (
            ["id", "image", "giá"],
            [45, "https://a.vn/1.jpg", 7],
            [7, "https://a.vn/2.jpg", 8],
        ):
            sheet.append(row)
        sheet["A2"].number_format, sheet["A3"].number_format = '"SP"0000', "000-000"
        sheet["C2"].number_format = '0" đ"'

    result = read(build(prepare))
    assert list(result.listings["product_base_id"]) == ["SP0045", "000-007"]
    assert result.listings["extra"][0] == '{"giá": "7"}'


def test_ids_of_an_open_document_are_what_their_cells_show():
    shown = with_part(
        (DATA / "catalogue.ods").read_bytes(),
        "content.xml",
        lambda part: part.replace(b"<text:p>00123</text:p>", b"<text:p>SP0123</text:p>").replace(
            b"<text:p>00089</text:p>", b"<text:p>000-089</text:p>"
        ),
    )
    identifiers = set(read(shown, "c.ods").listings["product_base_id"])
    assert {"SP0123", "000-089"} & identifiers


@pytest.mark.parametrize(
    ("header", "row", "identifier", "url"),
    [
        (["ID", "SKU", "Images"], [100, None, "https://a.vn/1.jpg"], "100", "https://a.vn/1.jpg"),
        (
            ["id", "url_thumbnail", "url_thumbnail"],
            ["a", None, "https://a.vn/2.jpg"],
            "a",
            "https://a.vn/2.jpg",
        ),
        (
            ["id", "image_url", "image"],
            ["a", None, "https://a.vn/3.jpg"],
            "a",
            "https://a.vn/3.jpg",
        ),
    ],
)
def test_of_columns_that_fit_the_one_that_is_filled_counts(header, row, identifier, url):
    listings = read(excel(header, *[row] * 3)).listings
    assert (listings["product_base_id"][0], listings["urls"][0]) == (identifier, [url])


def test_a_column_with_a_few_gaps_stays_the_more_telling_one():
    rows = [[n, f"SKU{n}" if n else None, f"https://a.vn/{n}.jpg"] for n in range(5)]
    assert list(read(excel(["ID", "SKU", "image"], *rows)).listings["product_base_id"])[1:] == [
        "SKU1",
        "SKU2",
        "SKU3",
        "SKU4",
    ]


def test_columns_of_hidden_text_count_as_filled():
    def links(_, sheet):
        for row in (["id", "url_thumbnail", "image"], ["a", None, "x"]):
            sheet.append(row)
        sheet["B2"] = '=HYPERLINK("https://a.vn/1.jpg")'

    assert read(build(links)).listings["urls"][0] == ["https://a.vn/1.jpg"]
