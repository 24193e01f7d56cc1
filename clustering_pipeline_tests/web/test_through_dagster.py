"""The whole loop in a browser, through Dagster: a workbook is dropped, grouped, found to be wrong,
mended, applied and downloaded; no terminal.
"""

import csv

import openpyxl
import pytest

from benchmarks.browsing import Hands, Repair, repair
from benchmarks.pages import listening
from clustering_pipeline.core.corrections import Correction, ListingReference, Same
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.synthetic import serve_folder, write_catalogue
from clustering_pipeline.web import ServeOptions, category_cache, create_app
from clustering_pipeline_tests.orchestration.conftest import SETTINGS
from clustering_pipeline_tests.web.test_browser import CHROMIUM, playwright

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)"
    ),
]
MOST_ACTS = 25
MILLISECONDS_OF_A_RUN = 280_000


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    with serve_folder(folder) as server:
        write_catalogue(
            folder,
            f"{server.url}/images",
            products=4,
            sellers=3,
            listings_per_product=(3, 3),
            problems=(),
        )
        yield folder, server


@pytest.fixture
def project(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    project = Project(PipelineHome.find().prepare())
    project.home.settings_file.write_text(SETTINGS.format(host=shop[1].host), encoding="utf-8")
    return project


@pytest.fixture
def page(project, monkeypatch):
    monkeypatch.setattr(category_cache, "SECONDS_BETWEEN_LOOKS", 0.0)
    with (
        listening(create_app(project, ServeOptions(author="lan"))) as address,
        playwright.sync_playwright() as web,
    ):
        chromium = web.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page(base_url=address, viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        yield page
        chromium.close()


def ended(page):
    page.wait_for_selector(".outcome", timeout=MILLISECONDS_OF_A_RUN)
    return page.locator(".outcome").inner_text()


def groups(workbook):
    """The ids of each cluster of a labelled workbook, with its name."""
    header, *rows = openpyxl.load_workbook(workbook).worksheets[0].values
    found = {}
    for row in rows:
        number = row[header.index("cluster_id")]
        if number is not None and number >= 0:
            name = row[header.index("cluster_name")]
            found.setdefault((number, name), set()).add(str(row[header.index("product_base_id")]))
    return found


def products_of(project, folder):
    """The ids of the listings of each product, by what the drawn catalogue knows."""
    rows = csv.DictReader((folder / "labels.csv").read_text(encoding="utf-8").splitlines())
    drawn = {row["image"]: row["group"] for row in rows}
    catalogue = project.manifests.read("catalogue", "serum")
    found = {}
    for identifier, urls in zip(catalogue["product_base_id"], catalogue["urls"], strict=True):
        found.setdefault(drawn[urls[0].rpartition("/")[2]], []).append(identifier)
    return found


@pytest.mark.timeout(900)
def test_a_workbook_is_grouped_mended_and_downloaded_without_a_terminal(
    page, project, shop, tmp_path
):
    page.goto("/")
    page.set_input_files("#file", shop[0] / "catalogue.xlsx")
    page.get_by_role("heading", name="Are these the right columns?").wait_for()
    page.get_by_label("Name of the category").fill("Serum")
    page.get_by_role("button", name="Group the pictures").click()
    page.wait_for_url("**/runs/*")
    page.locator(".stages .running").first.wait_for(timeout=MILLISECONDS_OF_A_RUN)
    assert "Done" in ended(page)

    # Somebody says that two products are one, and the next run believes it.
    products = products_of(project, shop[0])
    right, alien = list(products.values())[:2]
    a, b = ListingReference(right[0]), ListingReference(alien[0])
    project.corrections.add([Correction(Same(a, b), "somebody", "serum")])
    page.goto("/c/serum/review")
    page.get_by_role("button", name="Apply").click()
    assert "merged" in ended(page)

    clusters = project.manifests.read("clusters", "serum")
    catalogue = project.manifests.read("catalogue", "serum")
    placed = dict(zip(catalogue["product_base_id"], clusters["cluster_id"], strict=True))
    assert len({placed[identifier] for identifier in (*right, *alien)}) == 1
    hands = Hands(page)
    wrong = Repair(int(placed[right[0]]), frozenset(alien))
    after = groups(repair(hands, "Serum", wrong, tmp_path))
    assert len(hands.acts) <= MOST_ACTS, hands.acts
    named = {name: members for (_, name), members in after.items()}
    # Either part may keep the number.
    assert sorted([sorted(named["A1"]), sorted(named["B2"])]) == sorted(
        [sorted(right), sorted(alien)]
    )
    assert len(after) == len(products)
