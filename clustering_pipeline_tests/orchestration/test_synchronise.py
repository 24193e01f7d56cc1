"""A whole category through the real assets, whatever its pictures are like."""

import pytest

from clustering_pipeline.definitions import open_pipeline
from clustering_pipeline.orchestration.sync.lineage import Status
from clustering_pipeline.orchestration.sync.status import category_statuses
from clustering_pipeline.orchestration.sync.synchronise import synchronise


@pytest.mark.slow
def test_the_workbook_is_written_although_no_picture_could_be_had_where_that_is_asked(installation):
    installation.project.home.settings_file.write_text("download: {retries: 0, least_share: 0}\n")
    installation.keep_rows(slice(0, 3))
    report = synchronise(
        "serum", pipeline=open_pipeline(installation.project), instance=installation.instance
    )
    assert "labeled_excel" in report.materialised
    clusters = installation.project.manifests.read("clusters", "serum")
    assert list(clusters["status"]) == ["download_failed"] * 3
    status = category_statuses(
        installation.project, installation.instance, open_pipeline(installation.project).lineage
    )[0]
    assert {report.status for report in status.assets.values()} == {Status.FRESH}
