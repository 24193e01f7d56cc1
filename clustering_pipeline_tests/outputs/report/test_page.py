import re
from html.parser import HTMLParser

import pytest

from clustering_pipeline.outputs.report import write_report
from clustering_pipeline.outputs.report.i18n import Texts
from clustering_pipeline.settings import ReportSettings
from clustering_pipeline.stages.matching.weights import KINDS
from clustering_pipeline_tests.outputs.report import samples

FACTS = {
    "raw_images": {"requests": 10},
    "settings": {"clusters.method": "graph"},
    "versions": {"numpy": "2.0"},
}


class Outline(HTMLParser):
    """The attributes of every element of a page."""

    def __init__(self, page):
        super().__init__()
        self.elements = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def values(self, tag, attribute):
        return [
            attributes[attribute]
            for name, attributes in self.elements
            if name == tag and attribute in attributes
        ]


@pytest.fixture
def report(tmp_path):
    context = samples.context(tmp_path)
    tables = samples.tables(context)
    return lambda **settings: write_report(
        tables, FACTS, ReportSettings(**settings), context
    ).decode()


def test_the_page_asks_for_nothing_from_elsewhere(report):
    outline = Outline(report())
    assert all(source.startswith("data:image/jpeg") for source in outline.values("img", "src"))
    assert not outline.values("link", "href") and not outline.values("script", "src")
    assert "default-src 'none'" in outline.values("meta", "content")[1]


def test_the_most_doubtful_cluster_comes_first(report):
    assert re.findall(r"Cluster (\d+) ·", report()) == ["3", "2", "1"]


def test_what_sellers_wrote_stays_text(report):
    page = report()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_a_url_that_a_browser_would_run_is_no_link(tmp_path):
    context = samples.context(tmp_path)
    tables = samples.tables(context)
    tables.raw_images["url"] = "javascript:alert(1)"
    outline = Outline(write_report(tables, {}, ReportSettings(), context).decode())
    assert not [
        link for link in outline.values("a", "href") if not link.startswith(("#", "https://"))
    ]


def test_every_failure_is_listed_with_its_reason(report):
    page = report()
    for reason in ("too blurred to compare", "404 Not Found", "no URL"):
        assert reason in page


def test_settings_and_versions_are_shown(report):
    page = report()
    assert "clusters.method" in page and "graph" in page and "numpy" in page and "requests" in page


@pytest.mark.parametrize("language", ["en", "vi"])
def test_every_kind_of_evidence_has_words(language):
    assert Texts(language).of("reason_").keys() >= KINDS.keys()


def test_one_of_something_is_told_in_the_singular():
    english, vietnamese = Texts("en"), Texts("vi")
    assert english.counted(1, "evidence_conflicting") == "1 line conflicts"
    assert english.counted(2, "evidence_conflicting") == "2 lines conflict"
    assert vietnamese.counted(1200, "listings") == "1.200 Tin đăng"


def test_the_language_is_a_setting(report):
    page = report(language="vi")
    assert '<html lang="vi">' in page and "Liên kết yếu nhất" in page and "Weakest link" not in page


def test_pictures_stop_at_the_budget(report):
    assert report(picture_megabytes=0).count("data:image/jpeg;base64") == 0
    assert (
        0
        < report(picture_megabytes=0.002).count("data:image/jpeg;base64")
        < report().count("data:image/jpeg;base64")
    )


def test_long_lists_are_cut_and_say_so(report):
    page = report(clusters_shown=1, pictures_per_cluster=2, rows_shown=1)
    assert page.count('class="cluster card"') == 1
    assert "+ 2 not shown here" in page


def test_the_same_tables_give_the_same_page(report):
    assert report() == report()


def test_a_missing_blob_leaves_a_gap_not_an_error(tmp_path):
    context = samples.context(tmp_path / "a")
    tables = samples.tables(context)
    empty = samples.context(tmp_path / "b")
    assert (
        "data:image"
        not in write_report(tables, {}, ReportSettings(), empty).decode().split("</style>")[1]
    )


def test_an_empty_category_gives_a_page(tmp_path):
    context = samples.context(tmp_path)
    full = samples.tables(context)
    frames = {name: value.iloc[:0] for name, value in vars(full).items() if hasattr(value, "iloc")}
    page = write_report(
        type(full)(category="x", display_name="X", **frames), {}, ReportSettings(), context
    )
    assert b"<h1>X</h1>" in page
