"""The catalogue folder and the storage in an object store: a loopback S3 server.

It needs the packages s3fs and moto[server], which the project does not install: `uv run --extra s3
--with 'moto[server]' pytest …`.
"""

import fsspec
import pytest
import yaml

from clustering_pipeline.definitions import open_pipeline
from clustering_pipeline.orchestration.sync.synchronise import synchronise
from clustering_pipeline.project.upkeep import find_unused, stored_sizes
from clustering_pipeline.storage import layout
from clustering_pipeline_tests.orchestration.conftest import Daemon, Installation
from clustering_pipeline_tests.storage.buckets import loopback_bucket

pytestmark = pytest.mark.slow


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with loopback_bucket(monkeypatch) as (url, _):
        yield url


def test_a_workbook_dropped_into_a_bucket_is_run_in_the_bucket(
    installation: Installation, bucket: str
):
    settings = yaml.safe_load(installation.project.home.settings_file.read_text())
    places = {
        "storage": {"root": f"{bucket}/storage"},
        "automation": {"catalogue_folder": f"{bucket}/catalogues"},
    }
    installation.project.home.settings_file.write_text(yaml.safe_dump({**settings, **places}))
    fsspec.filesystem("s3").put(
        str(installation.shop.workbook), f"{bucket}/catalogues/Kem chống nắng.xlsx"
    )

    daemon = Daemon(installation.project, installation.instance)
    first = daemon.look("catalogue_folder")
    second = daemon.look("catalogue_folder", first.cursor)
    assert [request.partition_key for request in second.run_requests] == ["kem-chong-nang"]

    report = synchronise(
        "kem-chong-nang",
        pipeline=open_pipeline(installation.project),
        instance=installation.instance,
    )
    assert "labeled_excel" in report.materialised
    again = synchronise(
        "kem-chong-nang",
        pipeline=open_pipeline(installation.project),
        instance=installation.instance,
    )
    assert again.materialised == ()
    facts = installation.project.manifests.read_facts("category_report", "kem-chong-nang")
    assert facts["report"] == f"{bucket}/storage/outputs/kem-chong-nang/report.html"
    assert sum(size.bytes for size in stored_sizes(installation.project)) > 0
    assert find_unused(installation.project).digests == ()
    # What Dagster keeps itself stays at home: what runs print, and its database.
    assert not {path.name for path in installation.project.home.storage.iterdir()} & set(
        layout.FOLDERS
    )
