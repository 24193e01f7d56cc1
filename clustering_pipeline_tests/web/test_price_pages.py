"""The page of prices, its files, and the prices on a cluster's page."""

import csv
import io
import re

import openpyxl
import pytest

from clustering_pipeline.core.manifests import MANIFESTS, OFFERS, empty
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline_tests.web import home

BASE = f"/c/{home.SLUG}"


@pytest.fixture(scope="session")
def products(finished_home) -> int:
    """How many clusters there are."""
    clusters = Project(PipelineHome(finished_home)).manifests.read("clusters", home.SLUG)
    return clusters.loc[clusters["status"] == "clustered", "cluster_id"].nunique()


def with_far(reader) -> list[str]:
    """The numbers of the clusters that have a price far from the others."""
    text = reader.get(f"{BASE}/prices.csv").content.decode("utf-8-sig")
    rows = csv.DictReader(io.StringIO(text))
    found = [row["cluster_id"] for row in rows if row["far_prices"] != "0"]
    assert found
    return found


def test_a_row_per_product_with_its_prices_and_how_they_moved(reader, products):
    page = reader.get(f"{BASE}/prices?lang=en").text
    assert "100,000 ₫" in page
    assert "Shop 0 &lt;b&gt;" in page
    assert page.count('class="spark"') == products
    assert "▼" in page
    assert "Price stands out (1)" in page


def test_it_is_in_the_readers_language(reader):
    page = reader.get(f"{BASE}/prices?lang=vi").text
    assert "100.000 ₫" in page
    assert "Thấp nhất" in page


@pytest.mark.parametrize("order", ["lowest", "spread", "change", "far", "nonsense"])
def test_it_is_sorted_as_asked(reader, order, products):
    answer = reader.get(f"{BASE}/prices", params={"sort": order})
    assert answer.status_code == 200
    assert answer.text.count('class="spark"') == products


def test_the_same_as_csv(reader, products):
    answer = reader.get(f"{BASE}/prices.csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == products
    assert sorted(int(row["lowest_price"]) for row in rows)[0] == 100_000
    assert {row["far_prices"] for row in rows} == {"0", "1"}


def test_the_same_as_a_workbook(reader, products):
    content = reader.get(f"{BASE}/prices.xlsx").content
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    header = [cell.value for cell in sheet[1]]
    cell = sheet.cell(2, header.index("lowest_price") + 1)
    assert cell.number_format == '#,##0\\ "₫"'
    assert sheet.freeze_panes == "A2"
    assert sheet.max_row == products + 1


def test_a_clusters_page_has_the_strip_and_marks_the_far_price(reader):
    page = reader.get(f"{BASE}/review/{with_far(reader)[0]}?lang=en").text
    assert page.count("<circle") >= home.SELLERS
    assert 'class="far"' in page
    assert "Price stands out" in page


def test_far_prices_are_a_list_of_the_review(reader):
    page = reader.get(f"{BASE}/review?show=prices&lang=en").text
    assert page.count("tilelink") == len(with_far(reader))


def test_the_report_tells_of_prices(reader):
    page = reader.get(f"{BASE}/alone/report").text
    assert 'id="prices"' in page
    assert "100,000 ₫" in page
    assert "Price stands out" in page


def test_a_category_without_prices_has_no_such_page_in_its_bar(client, project):
    project.manifests.write("offers", home.SLUG, empty(OFFERS), MANIFESTS["offers"])
    assert f"{BASE}/prices" not in client.get(f"{BASE}/review").text
    assert "offers.columns" in client.get(f"{BASE}/prices?lang=en").text
    assert client.get(f"{BASE}/review/1").status_code == 200


def test_a_category_of_an_earlier_version_has_no_offers_and_opens(client, project):
    project.manifests.set_aside("offers", home.SLUG, "as before there were offers")
    for page in ("prices", "prices.csv", "prices.xlsx", "review", "review/1"):
        assert client.get(f"{BASE}/{page}").status_code == 200


def test_the_report_is_in_the_readers_language(reader):
    for language, heading in (("vi", "Giá"), ("en", "Prices")):
        page = reader.get(f"{BASE}/report?lang={language}").text
        framed = re.search(r'class="framed" id="framed" src="([^"]+)"', page)
        assert f"<h2>{heading}</h2>" in reader.get(framed[1]).text
