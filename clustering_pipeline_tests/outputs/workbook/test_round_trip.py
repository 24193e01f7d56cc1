"""The labelled workbook opened and saved by LibreOffice, then given back."""

import io
import shutil
import subprocess

import openpyxl
import pytest

from clustering_pipeline.core.own_columns import OWN_COLUMNS
from clustering_pipeline.outputs.workbook import read_label_edits
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue import read_workbook
from clustering_pipeline.storage import BlobStore
from clustering_pipeline_tests.outputs.workbook.builders import (
    HEADER,
    label,
    listings,
    sheet_rows,
    workbook_bytes,
)
from clustering_pipeline_tests.outputs.workbook.test_untouched import furnish

OFFICE = shutil.which("soffice")
pytestmark = pytest.mark.skipif(OFFICE is None, reason="LibreOffice is not installed")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("round_trip")


@pytest.fixture(scope="module")
def labelled(store):
    rows = [
        HEADER,
        *listings(4),
        ["1234567890123456789", "https://shop.vn/9.jpg", "=x"],
        [None, "n/a", "Tổng"],
    ]
    return label(workbook_bytes(rows, prepare=furnish), store)


@pytest.fixture(scope="module")
def saved(labelled, store):
    """The workbook as LibreOffice writes it after opening it."""
    (store / "labelled.xlsx").write_bytes(labelled)
    command = [
        OFFICE,
        f"-env:UserInstallation={(store / 'profile').as_uri()}",
        "--headless",
        "--convert-to",
        "xlsx:Calc MS Excel 2007 XML",
    ]
    subprocess.run(
        [*command, "--outdir", store / "saved", store / "labelled.xlsx"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return store / "saved" / "labelled.xlsx"


def test_nothing_is_lost_on_the_way(labelled, saved):
    assert sheet_rows(saved.read_bytes(), "products")[0] == [*HEADER, *OWN_COLUMNS]
    before, after = (
        openpyxl.load_workbook(io.BytesIO(content)) for content in (labelled, saved.read_bytes())
    )
    assert after.sheetnames == before.sheetnames
    assert len(after["products"]._images) == len(before["products"]._images) == 1
    assert after["products"]["D2"].hyperlink is not None
    assert [row[:6] for row in sheet_rows(saved.read_bytes(), "Clusters")] == [
        row[:6] for row in sheet_rows(labelled, "Clusters")
    ]


def test_the_catalogue_is_the_same(labelled, saved):
    before, after = (
        read_workbook(content, "c.xlsx", CatalogueSettings()).listings
        for content in (labelled, saved.read_bytes())
    )
    columns = ["sheet", "sheet_row", "product_base_id", "urls", "title", "usable"]
    assert after[columns].to_dict("records") == before[columns].to_dict("records")


def test_saving_is_no_edit(saved, store):
    edits = read_label_edits(saved, BlobStore(str(store / "blobs")), CatalogueSettings())
    assert edits is not None and edits.statements == []


def test_labelling_it_again_gives_the_same_labels_and_no_second_columns(labelled, saved, store):
    again = label(saved.read_bytes(), store)
    # LibreOffice keeps empty rows down to the last drawing.
    assert [row for row in sheet_rows(again, "products") if any(row)] == sheet_rows(
        labelled, "products"
    )
    assert (
        openpyxl.load_workbook(io.BytesIO(again)).sheetnames
        == openpyxl.load_workbook(io.BytesIO(labelled)).sheetnames
    )
