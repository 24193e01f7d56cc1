"""A whole category through the real assets: what a change of each kind makes run, and nothing else."""

import pytest

from clustering_pipeline.automation import Status, category_statuses, synchronise
from clustering_pipeline_tests.automation.conftest import Installation

RESULTS = {"labeled_excel", "category_report", "search_index"}


def sync(installation: Installation, **options) -> list[str]:
    report = synchronise("serum", workplace=installation.workplace, instance=installation.instance, **options)
    return list(report.materialised)


@pytest.mark.slow
def test_the_truth_table(installation):
    """One long story, because the first run is the expensive one."""
    installation.keep_rows(slice(0, 5))
    assert len(sync(installation)) == 27
    assert sync(installation) == []

    installation.settings("clusters:\n  method: dbscan\n")
    changed = sync(installation)
    assert changed[:2] == ["settings/clusters", "clusters"]
    assert set(changed[2:]) <= RESULTS

    installation.settings("clusters:\n  method: agglomerative\n")
    installation.settings("clusters:\n  method: dbscan\n")
    assert sync(installation) == []


@pytest.mark.slow
def test_the_workbook_is_written_although_no_picture_could_be_had(installation):
    installation.workplace.home.settings_file.write_text("download:\n  retries: 0\n")
    installation.keep_rows(slice(0, 3))
    assert "labeled_excel" in sync(installation)
    clusters = installation.workplace.manifests.read("clusters", "serum")
    assert list(clusters["status"]) == ["download_failed"] * 3
    status = category_statuses(installation.workplace, installation.instance)[0]
    assert {report.status for report in status.assets.values()} == {Status.FRESH}
