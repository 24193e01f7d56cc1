import io

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.evaluation import evaluate_workbook, parse_truth, read_truth

BY_IMAGE = b"image,group,x0\n0000.jpg,p1,3\n0001.jpg,p1,4\n0002.jpg,p2,5\n"
BY_ID = b"\xef\xbb\xbfproduct_base_id,group\na,p1\nb,p1\nc,p2\n"
HEADER = ["product_base_id", "url_thumbnail", "cluster_id", "status"]
ROWS = [
    ["a", "http://127.0.0.1:8765/images/0000.jpg?w=80", 4, "clustered"],
    ["b", "http://127.0.0.1:8765/images/0001.jpg", 4, "clustered"],
    ["c", "http://127.0.0.1:8765/images/0002.jpg", -1, "no_match"],
    ["d", "http://127.0.0.1:8765/images/0009.jpg", None, "rejected"],
]


def book(*sheets):
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for index, rows in enumerate(sheets):
        sheet = workbook.create_sheet(f"sheet {index}")
        for row in rows:
            sheet.append(row)
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


@pytest.mark.parametrize("truth", [BY_IMAGE, BY_ID])
def test_rows_are_joined_on_picture_or_id(truth):
    scores = evaluate_workbook(book([HEADER, *ROWS]), parse_truth(truth, "labels.csv"))
    assert scores["bcubed_f1"] == 1
    assert (scores["rows"], scores["rows_scored"], scores["groups"], scores["clusters"]) == (
        4,
        3,
        2,
        1,
    )


def test_our_prefixed_column_counts_and_summary_sheets_do_not():
    rows = [[*row[:2], 99, "x", row[2], row[3]] for row in ROWS]
    listings = [
        ["Danh mục"],
        [],
        ["product_base_id", "url", "cluster_id", "status", "cp_cluster_id", "cp_status"],
        *rows,
    ]
    summary = [["cluster_id", "picture"], [4, "http://h/0000.jpg"]]
    scores = evaluate_workbook(book(summary, listings), parse_truth(BY_IMAGE, "labels.csv"))
    assert scores["rows_scored"] == 3
    assert scores["bcubed_f1"] == 1


def test_a_workbook_that_was_not_labelled_is_refused(tmp_path):
    with pytest.raises(InputError, match="cluster_id"):
        evaluate_workbook(book([["product_base_id"], ["a"]]), parse_truth(BY_ID, "labels.csv"))
    with pytest.raises(InputError, match=r"cannot be read as an \.xlsx"):
        evaluate_workbook(tmp_path / "missing.xlsx", parse_truth(BY_ID, "labels.csv"))
    with pytest.raises(InputError, match=r"cannot be read as an \.xlsx"):
        evaluate_workbook(b"<html>", parse_truth(BY_ID, "labels.csv"))


def test_a_truth_of_other_listings_is_refused():
    with pytest.raises(InputError, match="same catalogue"):
        evaluate_workbook(
            book([HEADER, *ROWS]), parse_truth(b"product_base_id,group\nzz,p1\n", "labels.csv")
        )


@pytest.mark.parametrize(
    "content", [b"", b"image,label\n0.jpg,p\n", b"image,group\n", b"\xff\xfe\x00", b"group\nx\n"]
)
def test_a_truth_file_without_its_columns_or_rows_is_refused(content, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"labels\.csv"):
        read_truth(path)


def test_a_missing_truth_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.csv"):
        read_truth(tmp_path / "nothing.csv")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_truth_or_an_input_error(content):
    try:
        truth = parse_truth(content, "labels.csv")
    except InputError:
        return
    assert truth.groups
