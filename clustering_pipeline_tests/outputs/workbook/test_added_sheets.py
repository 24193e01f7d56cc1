"""The sheets Clusters, Problems and Summary."""

import io
from datetime import date

import numpy as np
import openpyxl
import pandas as pd
import pytest

from clustering_pipeline.core.manifests import CLEAN_IMAGES, RAW_IMAGES, conform
from clustering_pipeline.imaging import to_png
from clustering_pipeline.outputs.workbook import WorkbookNotes, cluster_dates, summary_sections
from clustering_pipeline.settings import PipelineSettings, WorkbookSettings
from clustering_pipeline.storage import BlobStore
from clustering_pipeline_tests.outputs.workbook.builders import (
    HEADER,
    clusters_for,
    label,
    listings,
    sheet_rows,
    workbook_bytes,
)


def frame(manifest, rows):
    return conform(
        pd.DataFrame([dict.fromkeys(manifest.schema.names) | row for row in rows]), manifest
    )


@pytest.fixture
def pictured(tmp_path):
    """The manifests of four listings whose crops lie in the store, the last one gone from it."""
    blobs = BlobStore(str(tmp_path / "blobs"))
    digests = [
        blobs.put(to_png(np.full((40, 80, 3), 40 * number, np.uint8))) for number in range(4)
    ]
    blobs.files.remove(blobs.path_of(digests[2]))
    crops = [
        {
            "crop_sha256": f"c{number}",
            "image_sha256": digest,
            "x0": 0,
            "y0": 0,
            "x1": 80,
            "y1": 40,
            "status": "kept",
        }
        for number, digest in enumerate(digests)
    ]

    def clusters(catalogue):
        return clusters_for(
            catalogue, crop_sha256=[f"c{number}" for number in catalogue["listing"]]
        )

    return {"clean_images": frame(CLEAN_IMAGES, crops), "clusters": clusters, "blobs": blobs}


def test_a_row_per_cluster_with_its_picture_and_links_both_ways(tmp_path, pictured):
    notes = WorkbookNotes(cluster_dates={1: ("2024-05-01", "2024-05-08")})
    workbook = openpyxl.load_workbook(
        io.BytesIO(label(workbook_bytes(), tmp_path, notes=notes, **pictured))
    )
    sheet = workbook["Clusters"]
    assert [cell.value for cell in sheet[2]] == [
        1,
        "Kem chống nắng 0",
        2,
        None,
        "0000",
        0.75,
        None,
        "2024-05-01",
        "2024-05-08",
    ]
    assert len(sheet._images) == 1 and sheet._images[0].anchor._from.row == 1
    assert sheet.auto_filter.ref == "A1:I3" and sheet.freeze_panes == "A2"
    assert sheet["A2"].hyperlink.location == "'products'!D2"
    assert workbook["products"]["D4"].hyperlink.location == "'Clusters'!A3"


def test_no_sheets_pictures_or_links_when_they_are_switched_off(tmp_path, pictured):
    plain = WorkbookSettings(sheets=False)
    assert openpyxl.load_workbook(
        io.BytesIO(label(workbook_bytes(), tmp_path, settings=plain, **pictured))
    ).sheetnames == ["products"]
    bare = WorkbookSettings(pictures=0, links=False)
    workbook = openpyxl.load_workbook(
        io.BytesIO(label(workbook_bytes(), tmp_path, settings=bare, **pictured))
    )
    assert not workbook["Clusters"]._images and workbook["products"]["D2"].hyperlink is None


def test_a_row_per_problem_with_the_place_and_the_address(tmp_path):
    raw = [
        {
            "listing": 0,
            "position": 1,
            "url": "https://a.vn/0b.jpg",
            "status": "failed",
            "error_kind": "not_found",
            "error": "gone",
            "http_status": 404,
        },
        {
            "listing": 1,
            "position": 0,
            "url": "file:a/b.jpg#sha256=" + "0" * 64,
            "status": "failed",
            "error_kind": "not_an_image",
            "error": "text",
        },
    ]
    rows = [HEADER, *listings(2), ["x", "n/a", "y"], ["0001", "https://a.vn/9.jpg", "z"]]
    problems = sheet_rows(
        label(workbook_bytes(rows), tmp_path, raw_images=frame(RAW_IMAGES, raw)), "Problems"
    )[1:]
    assert [(row[1], row[2], row[5], row[7]) for row in problems] == [
        (2, "0000", "not_found", "https://a.vn/0b.jpg"),
        (3, "0001", "not_an_image", "a/b.jpg"),
        (3, "0001", "remark", None),
        (4, "x", None, None),
        (5, "0001", "remark", None),
    ]
    assert "not a web address" in problems[3][4]


def test_a_reason_of_several_lines_makes_its_row_higher(tmp_path):
    failed = {"position": 0, "url": "https://a.vn/0.jpg", "status": "failed"}
    raw = [
        {**failed, "listing": 0, "error_kind": "not_found", "error": "gone"},
        {**failed, "listing": 1, "error_kind": "not_found", "error": "no picture " * 20},
    ]
    labelled = label(
        workbook_bytes([HEADER, *listings(2)]), tmp_path, raw_images=frame(RAW_IMAGES, raw)
    )
    rows = openpyxl.load_workbook(io.BytesIO(labelled))["Problems"].row_dimensions
    assert rows[2].height is None
    assert rows[3].height == 4 * 15


def test_the_summary_counts_every_listing_and_tells_the_settings(tmp_path):
    settings = PipelineSettings.model_validate({"clusters": {"method": "dbscan"}})
    notes = WorkbookNotes(summary=summary_sections("c.xlsx", "ab" * 32, settings))
    rows = dict(
        row[:2] for row in sheet_rows(label(workbook_bytes(), tmp_path, notes=notes), "Summary")
    )
    assert (rows["listings"], rows["clustered"], rows["clusters"]) == (4, 4, 2)
    assert rows["clusters.method"] == "dbscan"
    assert (
        "none"
        in summary_sections("c.xlsx", "", PipelineSettings())["Settings other than the defaults"]
    )


def test_the_share_in_the_summary_is_percent(tmp_path):
    sheet = openpyxl.load_workbook(io.BytesIO(label(workbook_bytes(), tmp_path)))["Summary"]
    (cell,) = [row[1] for row in sheet.iter_rows() if "share" in str(row[0].value)]
    assert cell.value == 1 and cell.number_format == "0%"


def test_settings_that_are_lists_are_written_as_a_person_would():
    settings = PipelineSettings.model_validate(
        {"download": {"allow_hosts": ["cdn.vn", "127.0.0.1:80"]}, "prompts": {"words": ["kem"]}}
    )
    told = summary_sections("c.xlsx", "0" * 64, settings)["Settings other than the defaults"]
    assert told["download.allow_hosts"] == "cdn.vn, 127.0.0.1:80"
    assert not any("[" in str(value) for value in told.values())


def test_losses_of_a_conversion_are_listed(tmp_path):
    from clustering_pipeline_tests.stages.catalogue.test_formats import DATA

    content = (DATA / "catalogue.ods").read_bytes()
    summary = dict(row[:2] for row in sheet_rows(label(content, tmp_path, name="c.ods"), "Summary"))
    assert "formulas" in summary["1"]


def test_dates_of_clusters_come_from_their_events():
    events = pd.DataFrame(
        {
            "number": [1, 2, 1],
            "time": ["2024-05-01T10:00:00", "2024-05-02T10:00:00", "2024-06-01T10:00:00"],
        }
    )
    assert cluster_dates(events) == {
        1: (date(2024, 5, 1), date(2024, 6, 1)),
        2: (date(2024, 5, 2), date(2024, 5, 2)),
    }
