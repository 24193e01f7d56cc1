"""The workbook in Vietnamese."""

import io

import openpyxl
import pytest

from clustering_pipeline.core.own_columns import OWN_COLUMNS, OWN_HEADERS, OWN_SHEETS, own_name
from clustering_pipeline.evaluation import Truth, evaluate_workbook
from clustering_pipeline.outputs.report import reason_in
from clustering_pipeline.outputs.workbook import WorkbookNotes, read_label_edits
from clustering_pipeline.settings import CatalogueSettings, WorkbookSettings
from clustering_pipeline.storage import BlobStore
from clustering_pipeline_tests.outputs.workbook.builders import (
    HEADER,
    clusters_for,
    label,
    listings,
    sheet_rows,
    workbook_bytes,
)

VIETNAMESE = WorkbookSettings(language="vi")


def in_vietnamese(content, tmp_path, **options):
    return label(content, tmp_path, settings=VIETNAMESE, notes=WorkbookNotes("kem"), **options)


def test_headers_statuses_and_reasons_are_in_it(tmp_path):
    content = in_vietnamese(
        workbook_bytes([HEADER, *listings(2), ["9", "", "Son"]]),
        tmp_path,
        clusters=lambda catalogue: clusters_for(catalogue),
    )
    rows = sheet_rows(content)
    assert rows[0][3:] == list(OWN_HEADERS["vi"].values())
    assert rows[1][8] == "Đã vào cụm"
    assert rows[3][8:] == ["Dòng không dùng được", "ô 'url_thumbnail' trống"]


def test_our_sheets_are_known_by_their_headers_in_every_language(tmp_path):
    for settings, language in ((VIETNAMESE, "vi"), (WorkbookSettings(), "en")):
        content = label(workbook_bytes(sheet="shop"), tmp_path, settings=settings)
        for name, headers in OWN_SHEETS.items():
            expected = headers[language]
            assert tuple(sheet_rows(content, name)[0][: len(expected)]) == expected


def test_labelling_it_again_replaces_what_was_added(tmp_path):
    once = in_vietnamese(workbook_bytes(), tmp_path)
    again = in_vietnamese(once, tmp_path)
    assert sheet_rows(again) == sheet_rows(once)
    names = openpyxl.load_workbook(io.BytesIO(again)).sheetnames
    assert names == openpyxl.load_workbook(io.BytesIO(once)).sheetnames


def test_edits_in_it_are_read(tmp_path):
    content = in_vietnamese(workbook_bytes(), tmp_path)
    workbook = openpyxl.load_workbook(io.BytesIO(content))
    workbook.worksheets[0].cell(2, 5).value = "Kem Anessa"
    path = tmp_path / "edited.xlsx"
    workbook.save(path)
    edits = read_label_edits(path, BlobStore(str(tmp_path / "blobs")), CatalogueSettings())
    assert edits is not None
    assert [statement.name for statement in edits.statements] == ["Kem Anessa"]


@pytest.mark.parametrize("settings", [VIETNAMESE, WorkbookSettings()])
def test_it_is_scored_by_the_sheet_of_the_listings_alone(tmp_path, settings):
    path = tmp_path / "labelled.xlsx"
    path.write_bytes(label(workbook_bytes(), tmp_path, settings=settings))
    groups = {f"{number:04d}": str(number // 2) for number in range(4)}
    scored = evaluate_workbook(path, Truth("product_base_id", groups))
    assert scored["rows"] == 4
    assert scored["bcubed_f1"] == 1


def test_csv_too(tmp_path):
    csv = b"product_base_id,url_thumbnail,name\r\n1,https://a.vn/1.jpg,Kem\r\n"
    written = in_vietnamese(csv, tmp_path, name="c.csv", output_name="c.clustered.csv")
    assert "Mã cụm".encode() in written


def test_names_of_columns_are_known_in_every_language():
    for headers in OWN_HEADERS.values():
        assert [own_name(header) for header in headers.values()] == list(OWN_COLUMNS)
    assert own_name("cp_Mã cụm") == own_name("MÃ CỤM") == "cluster_id"


@pytest.mark.parametrize(
    ("reason", "vietnamese"),
    [
        ("blurred: sharpness 2, at least 20", "mờ: độ nét 2, cần ít nhất 20"),
        (
            "a.vn has no picture at this address (HTTP 404). Correct the URL, or remove the "
            "listing.",
            "a.vn không có ảnh ở địa chỉ này (HTTP 404). Hãy sửa đường dẫn, hoặc bỏ tin đăng.",
        ),
        ("the cell 'url' is empty; something new", "ô 'url' trống; something new"),
        ("Something new.", "Something new."),
    ],
)
def test_reasons_are_translated_where_they_are_known(reason, vietnamese):
    assert reason_in(reason, "vi") == vietnamese
    assert reason_in(reason, "en") == reason
