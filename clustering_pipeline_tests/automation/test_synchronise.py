"""A whole category through the real assets, whatever its pictures are like."""

import pytest

from clustering_pipeline.automation import Status, category_statuses, synchronise


@pytest.mark.slow
def test_the_workbook_is_written_although_no_picture_could_be_had(installation):
    installation.workplace.home.settings_file.write_text("download:\n  retries: 0\n")
    installation.keep_rows(slice(0, 3))
    report = synchronise("serum", workplace=installation.workplace, instance=installation.instance)
    assert "labeled_excel" in report.materialised
    clusters = installation.workplace.manifests.read("clusters", "serum")
    assert list(clusters["status"]) == ["download_failed"] * 3
    status = category_statuses(installation.workplace, installation.instance)[0]
    assert {report.status for report in status.assets.values()} == {Status.FRESH}
