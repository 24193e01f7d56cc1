"""What nothing refers to any more: found, counted, and removed with the cached rows that name
it.
"""

import pandas as pd
import pyarrow as pa
import pytest

from clustering_pipeline.core.manifests import RAW_IMAGES
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.project.upkeep import find_unused, remove_unused, stored_sizes

ROW = {
    "listing": 1,
    "position": 0,
    "url": "u",
    "format": "PNG",
    "width": 1,
    "height": 1,
    "bytes": 4,
    "status": "ok",
}
REST = {"error_kind": None, "error": None, "http_status": 200}


@pytest.fixture
def project(tmp_path) -> Project:
    place = Project(PipelineHome(tmp_path / "home").prepare())
    catalogue = tmp_path / "serum.xlsx"
    catalogue.write_bytes(b"a workbook")
    place.sources.record(catalogue)
    kept = place.blobs.put(b"kept")
    frame = pd.DataFrame([{**ROW, **REST, "image_sha256": kept}])[RAW_IMAGES.schema.names]
    place.manifests.write("raw_images", "serum", frame, RAW_IMAGES)
    place.manifests.write("catalogue", "serum", frame, RAW_IMAGES)
    return place


def test_only_what_no_category_refers_to_is_unused(project):
    lost = project.blobs.put(b"lost picture")
    unused = find_unused(project)
    assert (unused.digests, unused.bytes) == ((lost,), 12)
    remove_unused(project, unused)
    assert find_unused(project).digests == ()
    assert project.blobs.get(project.sources.load("serum").sha256) == b"a workbook"


def test_cached_rows_that_name_removed_bytes_go_too(project):
    lost, other = (
        project.blobs.put(b"lost features"),
        project.manifests.read("raw_images", "serum")["image_sha256"].iloc[0],
    )
    table = project.context("serum", None).tables.table(
        "local_features", "f" * 64, pa.schema([("features", pa.string())])
    )
    table.append(pd.DataFrame({"key": ["gone", "stays"], "features": [lost, other]}))
    remove_unused(project, find_unused(project))
    assert list(table.read(["gone", "stays"]).index) == ["stays"]


def test_sizes_are_per_category_and_part(project):
    sizes = {(size.category, size.part): (size.files, size.bytes) for size in stored_sizes(project)}
    assert sizes["serum", "image"] == (1, 4)
    assert sizes["serum", "outputs"] == (0, 0)
