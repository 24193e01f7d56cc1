"""The user's workbook with our columns at the right and everything else as it was."""

import io
import json

import openpyxl
import pandas as pd
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.own_columns import OWN_COLUMNS
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue import read_workbook
from clustering_pipeline.stages.catalogue.embedded_images import PictureListing
from clustering_pipeline.stages.catalogue.stage import read_folder
from clustering_pipeline_tests.outputs.workbook.builders import (
    HEADER,
    clusters_for,
    label,
    listings,
    sheet_rows,
    workbook_bytes,
)


def test_our_columns_stand_right_of_everything(tmp_path):
    rows = sheet_rows(label(workbook_bytes(), tmp_path))
    assert rows[0] == [*HEADER, *OWN_COLUMNS]
    assert rows[1][3:] == [1, "Kem chống nắng 0", 2, True, 0.75, "clustered", None]
    assert [row[:3] for row in rows[1:]] == listings(4)


def test_a_users_status_is_left_alone(tmp_path):
    rows = sheet_rows(
        label(
            workbook_bytes([[*HEADER, "Status"], *[[*row, "còn hàng"] for row in listings(2)]]),
            tmp_path,
        )
    )
    assert rows[0][3] == "Status" and rows[1][3] == "còn hàng"
    assert rows[0][4:] == [f"cp_{name}" if name == "status" else name for name in OWN_COLUMNS]


def test_our_own_output_is_updated_and_not_added_to(tmp_path):
    once = label(
        workbook_bytes([[*HEADER, "status"], *[[*row, "x"] for row in listings(4)]]), tmp_path
    )
    catalogue = read_workbook(once, "c.xlsx", CatalogueSettings()).listings
    others = clusters_for(catalogue, cluster_id=[7, 7, 7, 7], cluster_size=[4] * 4)
    twice = sheet_rows(label(once, tmp_path, clusters=others))
    assert twice[0] == sheet_rows(once)[0]
    assert [row[4] for row in twice[1:]] == [7] * 4
    assert not any("cluster" in extra for extra in catalogue["extra"])


def test_an_own_column_that_was_removed_comes_back(tmp_path):
    workbook = openpyxl.load_workbook(io.BytesIO(label(workbook_bytes(), tmp_path)))
    workbook.worksheets[0].delete_cols(8)
    buffer = io.BytesIO()
    workbook.save(buffer)
    header = sheet_rows(label(buffer.getvalue(), tmp_path))[0]
    assert header == [
        *HEADER,
        *(name for name in OWN_COLUMNS if name != "confidence"),
        "confidence",
    ]


def test_every_row_has_a_cluster_or_a_reason(tmp_path):
    rows = [
        HEADER,
        *listings(2),
        [None, "https://a.vn/1.jpg", "x"],
        ["9", None, "y"],
        [None] * 3,
        ["10", "ftp://a/b", "z"],
    ]
    labelled = sheet_rows(label(workbook_bytes(rows), tmp_path))
    for row in (labelled[3], labelled[4], labelled[6]):
        assert row[3] is None and row[8] == "invalid_row" and row[9]
    assert labelled[5] == [None] * 10


def test_no_match_has_minus_one(tmp_path):
    def alone(catalogue):
        return clusters_for(
            catalogue, cluster_id=-1, cluster_size=1, status="no_match", is_representative=False
        )

    assert [
        row[3] for row in sheet_rows(label(workbook_bytes(), tmp_path, clusters=alone))[1:]
    ] == [-1] * 4


def test_the_header_stays_below_its_title_rows(tmp_path):
    rows = [["Danh sách sản phẩm"], [], HEADER, *listings(2)]
    labelled = sheet_rows(label(workbook_bytes(rows), tmp_path))
    assert labelled[0][3:] == [None] * 7
    assert labelled[2][3:] == list(OWN_COLUMNS)


def test_text_never_becomes_a_formula_and_formulas_stay(tmp_path):
    rows = [[*HEADER, "twice"], ["=1+1", "https://a.vn/1.jpg", "=cmd|' /C calc'!A0", "=2*3"]]

    def as_text(_, sheet):
        sheet["A2"].data_type = sheet["C2"].data_type = "s"

    def clusters(catalogue):
        return clusters_for(catalogue, cluster_name="=HYPERLINK(1)", reason="+1\x07")

    content = label(workbook_bytes(rows, prepare=as_text), tmp_path, clusters=clusters)
    sheet = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0]
    assert [sheet.cell(2, column).data_type for column in (1, 3, 4, 6, 11)] == [
        "s",
        "s",
        "f",
        "s",
        "s",
    ]
    assert sheet["F2"].value == "=HYPERLINK(1)" and sheet["F2"].quotePrefix
    assert sheet["K2"].value == "+1"


def test_a_workbook_exchanged_since_it_was_read_is_refused(tmp_path):
    catalogue = read_workbook(workbook_bytes(), "c.xlsx", CatalogueSettings()).listings
    other = workbook_bytes([HEADER, *listings(4)[::-1]])
    with pytest.raises(StageError, match="sync"):
        label(other, tmp_path, catalogue=catalogue, clusters=clusters_for(catalogue))


def test_a_lost_listing_is_an_error(tmp_path):
    with pytest.raises(StageError, match="have no result"):
        label(
            workbook_bytes(), tmp_path, clusters=lambda catalogue: clusters_for(catalogue).iloc[1:]
        )


def test_several_sheets_are_labelled_each_at_its_right(tmp_path):
    def second(workbook, _):
        other = workbook.create_sheet("Tháng 2")
        for row in (["sku", "image_url"], ["a", "https://a.vn/a.jpg"]):
            other.append(row)
        workbook.create_sheet("ghi chú").append(["hello"])

    content = label(workbook_bytes(prepare=second), tmp_path)
    assert sheet_rows(content, "Tháng 2")[0] == ["sku", "image_url", *OWN_COLUMNS]
    assert sheet_rows(content, "ghi chú") == [["hello"]]


@pytest.mark.parametrize(
    "name_content",
    [
        (
            "c.csv",
            "id,image\n007,https://a.vn/1.jpg\n1234567890123456789,https://a.vn/2.jpg\n".encode(
                "utf-16"
            ),
        ),
        ("c.parquet", None),
    ],
)
def test_other_tables_become_a_workbook_with_their_ids_as_written(tmp_path, name_content):
    name, content = name_content
    if content is None:
        buffer = io.BytesIO()
        pd.DataFrame(
            {
                "id": ["007", "1234567890123456789"],
                "image": ["https://a.vn/1.jpg", "https://a.vn/2.jpg"],
            }
        ).to_parquet(buffer)
        content = buffer.getvalue()
    rows = sheet_rows(label(content, tmp_path, name=name))
    assert rows[0] == ["id", "image", *OWN_COLUMNS]
    assert [row[0] for row in rows[1:]] == ["007", "1234567890123456789"]


def test_numbers_of_a_csv_become_numbers_where_they_look_the_same(tmp_path):
    text = (
        "id,image,giá,điểm,mã "
        "vạch,tồn\n12,https://a.vn/1.jpg,120000,4.8,0123,5\n13,https://a.vn/2.jpg,-5,4.75,99,n/a\n"
    )
    rows = sheet_rows(label(text.encode(), tmp_path, name="c.csv"))
    assert rows[0][:6] == ["id", "image", "giá", "điểm", "mã vạch", "tồn"]
    assert [row[:6] for row in rows[1:]] == [
        ["12", "https://a.vn/1.jpg", 120000, 4.8, "0123", "5"],
        ["13", "https://a.vn/2.jpg", -5, 4.75, "99", "n/a"],
    ]


def test_a_folder_of_pictures_becomes_a_workbook(tmp_path):
    listing = json.dumps({"a/1.jpg": "0" * 64, "b.png": "1" * 64}).encode()
    catalogue = read_folder(PictureListing(listing)).listings
    rows = sheet_rows(
        label(
            listing,
            tmp_path,
            name="pictures",
            catalogue=catalogue,
            clusters=clusters_for(catalogue),
        )
    )
    assert [row[:3] for row in rows] == [
        ["product_base_id", "file", "cluster_id"],
        ["a/1.jpg", "a/1.jpg", 1],
        ["b.png", "b.png", 1],
    ]
