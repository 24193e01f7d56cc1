"""Labelled tables as CSV and Parquet."""

import csv
import io

import pandas as pd
import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.own_columns import OWN_COLUMNS
from clustering_pipeline_tests.outputs.workbook.builders import (
    HEADER,
    clusters_for,
    label,
    workbook_bytes,
)

CSV = "id,image,tên\n007,https://a.vn/1.jpg,=1+1\n1234567890123456789,https://a.vn/2.jpg,Kem\n"


def records(content):
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_a_csv_keeps_its_cells_and_guards_ours(tmp_path):
    def clusters(catalogue):
        return clusters_for(catalogue, cluster_name="=cmd")

    rows = records(
        label(
            CSV.encode(), tmp_path, name="c.csv", output_name="c.clustered.csv", clusters=clusters
        )
    )
    assert rows[0] == ["id", "image", "tên", *OWN_COLUMNS]
    assert rows[1] == [
        "007",
        "https://a.vn/1.jpg",
        "=1+1",
        "1",
        "'=cmd",
        "2",
        "True",
        "0.75",
        "clustered",
        "",
    ]
    assert rows[2][0] == "1234567890123456789"


def test_text_of_ours_in_a_csv_fits_into_a_cell(tmp_path):
    def clusters(catalogue):
        return clusters_for(catalogue, cluster_name="=" + "🧴" * 20_000)

    content = label(
        CSV.encode(), tmp_path, name="c.csv", output_name="c.clustered.csv", clusters=clusters
    )
    row = dict(zip(*records(content)[:2], strict=True))
    assert row["cluster_name"] == "'=" + "🧴" * 16_382


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("line", [True, False])
def test_a_csv_keeps_its_delimiter_and_the_line_that_tells_it(tmp_path, delimiter, line):
    source = (f"sep={delimiter}\r\n" if line else "") + CSV.replace(",", delimiter)
    once = label(source.encode(), tmp_path, name="c.csv", output_name="c.clustered.csv")
    lines = once.decode("utf-8-sig").splitlines()
    assert lines[:1] == ([f"sep={delimiter}"] if line else lines[:1])
    assert lines[line].split(delimiter) == ["id", "image", "tên", *OWN_COLUMNS]
    assert label(once, tmp_path, name="c.csv", output_name="c.clustered.csv") == once


def test_our_own_csv_is_updated(tmp_path):
    once = label(CSV.encode(), tmp_path, name="c.csv", output_name="c.clustered.csv")
    assert records(label(once, tmp_path, name="c.csv", output_name="c.clustered.csv")) == records(
        once
    )


def test_a_parquet_keeps_its_types(tmp_path):
    frame = pd.DataFrame(
        {"sku": [1234567890123456789, 5], "image": ["https://a.vn/1.jpg", None], "giá": [1.5, 2.5]}
    )
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    once = label(buffer.getvalue(), tmp_path, name="c.parquet", output_name="c.clustered.parquet")
    again = pd.read_parquet(
        io.BytesIO(label(once, tmp_path, name="c.parquet", output_name="c.clustered.parquet"))
    )
    assert list(again.columns) == ["sku", "image", "giá", *OWN_COLUMNS]
    pd.testing.assert_frame_equal(again[frame.columns], frame)
    assert list(again["status"]) == ["clustered", "invalid_row"]


def test_a_workbook_as_parquet_is_text(tmp_path):
    content = label(workbook_bytes(), tmp_path, output_name="c.parquet")
    frame = pd.read_parquet(io.BytesIO(content))
    assert list(frame["product_base_id"]) == ["0000", "0001", "0002", "0003"]


def test_several_sheets_do_not_fit_into_one_csv(tmp_path):
    def second(workbook, _):
        other = workbook.create_sheet("two")
        other.append(HEADER)
        other.append(["a", "https://a.vn/a.jpg", "x"])

    with pytest.raises(InputError, match="2 sheets"):
        label(workbook_bytes(prepare=second), tmp_path, output_name="c.csv")
