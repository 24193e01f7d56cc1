"""From a click in the browser to the labelled workbook: correct on the pages, run through Dagster,
look again.
"""

import openpyxl
import pytest

from clustering_pipeline.definitions import open_pipeline
from clustering_pipeline.orchestration.runtime.instance import open_instance
from clustering_pipeline.orchestration.sync.synchronise import synchronise
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.synthetic import serve_folder, write_catalogue
from clustering_pipeline.web import ServeOptions, category_cache, create_app
from clustering_pipeline_tests.orchestration.conftest import Installation, SmallShop
from clustering_pipeline_tests.web.conftest import listening
from clustering_pipeline_tests.web.test_browser import CHROMIUM, playwright

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)"
    ),
]


@pytest.fixture
def installation(tmp_path, monkeypatch):
    """A home in which the category serum was run once by Dagster."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    shop = tmp_path / "shop"
    shop.mkdir()
    project = Project(PipelineHome.find().prepare())
    with serve_folder(shop) as server, open_instance(project.home) as instance:
        write_catalogue(
            shop,
            f"{server.url}/images",
            products=6,
            sellers=3,
            listings_per_product=(3, 3),
            problems=(),
        )
        prepared = Installation(project, instance, SmallShop(shop, server))
        prepared.settings()
        prepared.keep_rows(slice(None))
        synchronise("serum", pipeline=open_pipeline(project), instance=instance)
        yield prepared


@pytest.fixture
def page(installation, monkeypatch):
    monkeypatch.setattr(category_cache, "SECONDS_BETWEEN_LOOKS", 0.0)
    with (
        listening(create_app(installation.project, ServeOptions(author="lan"))) as address,
        playwright.sync_playwright() as web,
    ):
        chromium = web.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page(base_url=address)
        page.set_default_timeout(60_000)
        yield page
        chromium.close()


def numbers_in_workbook(page, folder):
    """Return the cluster number of every listing in the labelled workbook that the pages give
    out.
    """
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the labelled workbook").click()
    download.value.save_as(folder / "labelled.xlsx")
    header, *rows = openpyxl.load_workbook(folder / "labelled.xlsx").worksheets[0].values
    return {row[header.index("product_base_id")]: row[header.index("cluster_id")] for row in rows}


def test_a_merge_reaches_the_workbook_through_a_run_of_dagster(page, installation, tmp_path):
    page.goto("/c/serum/corrections")
    before = numbers_in_workbook(page, tmp_path)
    first, second = sorted({number for number in before.values() if number and number > 0})[:2]
    page.goto(f"/c/serum/review/{first}")
    page.get_by_role("spinbutton", name="Merge with cluster").fill(str(second))
    page.locator(".merging button").click()
    page.get_by_role("status").wait_for()

    report = synchronise(
        "serum", pipeline=open_pipeline(installation.project), instance=installation.instance
    )
    assert "clusters" in report.materialised and "matches" not in report.materialised
    page.goto("/c/serum/corrections")
    assert page.get_by_text("waiting for the next run").count() == 0
    after = numbers_in_workbook(page, tmp_path)
    assert {after[listing] for listing, number in before.items() if number in (first, second)} == {
        first
    }
