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

pytestmark = pytest.mark.slow


@pytest.fixture
def bucket(monkeypatch):
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    keys = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in {**keys, "AWS_ENDPOINT_URL": address}.items():
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("shop")
    yield "s3://shop"
    fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


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
