"""A whole category through the real assets: what a change of each kind makes run, and nothing else."""

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from clustering_pipeline.automation import Status, add_category, category_statuses, synchronise
from clustering_pipeline.automation.requests import active_categories
from clustering_pipeline.definitions import build_definitions
from clustering_pipeline_tests.automation.conftest import Installation

RESULTS = {"labeled_excel", "category_report", "search_index"}


def sync(installation: Installation, **options) -> list[str]:
    report = synchronise("serum", workplace=installation.workplace, instance=installation.instance, **options)
    return list(report.materialised)


@pytest.mark.slow
@pytest.mark.timeout(900)
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

    # One listing fewer, then one more: pictures that are held are not asked for.
    requests = installation.shop.server.requests.total()
    installation.keep_rows(slice(0, 4))
    assert {"catalogue", "raw_images", "clusters", "labeled_excel"} <= set(sync(installation))
    assert len(installation.workplace.manifests.read("clusters", "serum")) == 4
    installation.keep_rows(slice(0, 5))
    assert {"catalogue", "raw_images", "clusters", "labeled_excel"} <= set(sync(installation))
    assert installation.shop.server.requests.total() == requests

    first, second = installation.workplace.manifests.read("catalogue", "serum")["product_base_id"].iloc[:2]
    installation.workplace.corrections.different(first, second, author="a person")
    assert sync(installation)[:2] == ["corrections", "clusters"]

    # Another category does not touch this one.
    add_category(installation.instance, "toner")
    installation.workplace.sources.record(installation.workbook, "Toner")
    statuses = {status.category: status for status in category_statuses(installation.workplace, installation.instance)}
    assert {report.status for report in statuses["serum"].assets.values()} == {Status.FRESH}
    assert {report.status for report in statuses["toner"].assets.values()} == {Status.MISSING}

    installation.workplace.retired.retire("toner")
    assert active_categories(installation.workplace, installation.instance) == ["serum"]
    assert_dagster_agrees(installation)


def assert_dagster_agrees(installation: Installation) -> None:
    """Check that Dagster's own resolver, which its GraphQL asks, finds every asset of the category fresh too."""
    definitions = build_definitions(installation.workplace)
    graph = definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(installation.instance, graph, LoadingContextForTest(installation.instance))
    for key in graph.get_all_asset_keys() - {dg.AssetKey("sync_report")}:
        assert resolver.get_status(key, "serum") is StaleStatus.FRESH, key


@pytest.mark.slow
def test_a_photo_that_changed_behind_its_address_is_noticed_when_the_policy_asks(installation):
    installation.keep_rows(slice(0, 3))
    sync(installation)
    picture = next((installation.shop.folder / "images").iterdir())
    before = picture.read_bytes()
    try:
        for image in (installation.shop.folder / "images").iterdir():
            image.touch()
        picture.write_bytes(next(path for path in picture.parent.iterdir() if path != picture).read_bytes())
        assert sync(installation) == []
        refreshed = installation.workplace.home.settings_file.read_text().replace("retries: 0", "retries: 0\n  refresh: always")
        installation.workplace.home.settings_file.write_text(refreshed)
        assert {"settings/download", "raw_images"} <= set(sync(installation))
    finally:
        picture.write_bytes(before)


@pytest.mark.slow
def test_the_workbook_is_written_although_no_picture_could_be_had(installation):
    installation.workplace.home.settings_file.write_text("download:\n  retries: 0\n")
    installation.keep_rows(slice(0, 3))
    assert "labeled_excel" in sync(installation)
    clusters = installation.workplace.manifests.read("clusters", "serum")
    assert list(clusters["status"]) == ["download_failed"] * 3
    status = category_statuses(installation.workplace, installation.instance)[0]
    assert {report.status for report in status.assets.values()} == {Status.FRESH}
