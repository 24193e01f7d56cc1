"""The table of categories and assets."""

import dagster as dg
import pytest

from clustering_pipeline.definitions import open_pipeline
from clustering_pipeline.orchestration.assets import CATEGORY_ASSETS, sync_report
from clustering_pipeline.orchestration.runtime.instance import add_category
from clustering_pipeline.orchestration.sync.lineage import Status
from clustering_pipeline.orchestration.sync.status import category_statuses
from clustering_pipeline.project import PipelineHome, Project


@pytest.fixture
def project(tmp_path) -> Project:
    place = Project(PipelineHome(tmp_path / "home").prepare())
    workbook = tmp_path / "serum.xlsx"
    workbook.write_bytes(b"x")
    place.sources.record(workbook)
    return place


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        add_category(ephemeral, "serum")
        yield ephemeral


def test_a_category_that_never_ran_is_missing_and_overdue(project, instance):
    result = dg.materialize([sync_report], instance=instance, resources={"project": project})
    metadata = result.asset_materializations_for_node("sync_report")[0].metadata
    assert (metadata["categories"].value, metadata["fresh_categories"].value) == (1, 0)
    assert metadata["assets_missing"].value == len(CATEGORY_ASSETS)
    assert [check.passed for check in result.get_asset_check_evaluations()] == [False]


def test_a_retired_category_is_counted_and_not_judged(project, instance):
    project.retired.retire("serum")
    result = dg.materialize([sync_report], instance=instance, resources={"project": project})
    metadata = result.asset_materializations_for_node("sync_report")[0].metadata
    assert (metadata["categories"].value, metadata["retired_categories"].value) == (0, 1)


def test_settings_that_cannot_be_used_are_the_problem_of_their_category_alone(project, instance):
    add_category(instance, "toner")
    project.home.settings_file.write_text("categories:\n  serum:\n    clusters:\n      epss: 1\n")
    serum, toner = category_statuses(project, instance, open_pipeline(project).lineage)
    assert "settings.yaml:4" in serum.problem
    assert "No catalogue is recorded" in toner.problem
    assert {report.status for report in serum.assets.values()} == {Status.STALE}
