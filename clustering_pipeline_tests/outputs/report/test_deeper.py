"""The worst pair, the map and what changed."""

import base64
import colorsys
import re
import sqlite3

import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core.manifests import EMBEDDINGS, conform
from clustering_pipeline.outputs.report import write_report
from clustering_pipeline.outputs.report.charts import draw_map
from clustering_pipeline.outputs.report.history import ResultHistory, compare
from clustering_pipeline.outputs.report.i18n import Texts
from clustering_pipeline.outputs.report.listings import read_listings
from clustering_pipeline.outputs.report.pairs import main_colours
from clustering_pipeline.settings import ReportSettings
from clustering_pipeline.stages.clustering import NumberRegister
from clustering_pipeline.storage import layout
from clustering_pipeline_tests.outputs.report import samples


@pytest.fixture
def context(tmp_path):
    return samples.context(tmp_path)


@pytest.fixture
def tables(context):
    return samples.tables(context)


def moved(tables, listing, cluster):
    clusters = tables.clusters.copy()
    clusters.loc[clusters["listing"] == listing, "cluster_id"] = cluster
    return type(tables)(**{**vars(tables), "clusters": clusters})


def test_the_first_result_has_nothing_to_compare_with(context, tables):
    history = ResultHistory(context.state / "history.sqlite")
    assert history.changes("c", read_listings(tables)) is None
    assert history.changes("c", read_listings(tables)) is None


def test_a_moved_listing_is_told_until_something_else_changes(context, tables):
    history = ResultHistory(context.state / "history.sqlite")
    history.changes("c", read_listings(tables))
    for _ in range(2):
        changes = history.changes("c", read_listings(moved(tables, 0, 9)))
        assert (
            changes.moved_listings == 1
            and changes.new_clusters == (9,)
            and changes.gone_clusters == ()
        )


def test_categories_do_not_mix(context, tables):
    history = ResultHistory(context.state / "history.sqlite")
    history.changes("c", read_listings(tables))
    assert history.changes("d", read_listings(moved(tables, 0, 9))) is None


def test_listings_that_came_and_went_are_counted():
    changes = compare({"a#0": 1, "b#0": 1, "c#0": -1}, {"a#0": 1, "d#0": 2, "c#0": 2}, "2026-01-02")
    assert (changes.new_listings, changes.gone_listings, changes.moved_listings) == (1, 1, 1)
    assert changes.new_clusters == (2,)


def test_what_clusters_became_is_told_once_and_only_where_it_holds(context, tables):
    history = ResultHistory(context.state / "history.sqlite")
    numbers = NumberRegister(context.state / layout.CLUSTER_NUMBERS)
    whole, parted = ("ab", "c", "d", "e"), ("a", "b", "c", "d", "e")
    for clusters in (whole, parted, whole, parted):
        numbers.number("c", [frozenset(members) for members in clusters])
    kinds = numbers.events("c")["kind"].tolist()
    assert kinds.count("split") == 2 and kinds.count("merge") == 1
    history.changes("c", read_listings(moved(tables, 0, 9)))
    with sqlite3.connect(context.state / "history.sqlite") as connection:
        connection.execute("UPDATE results SET time = '2026-01-02T12:00:00+00:00'")
    changes = history.changes("c", read_listings(moved(tables, 0, 5)))
    assert (changes.since, changes.splits, changes.merges) == ("2026-01-02", ((5, 1),), ())


def test_days_are_written_as_the_reader_writes_them():
    assert Texts("en").day("2026-11-08") == "8 November 2026"
    assert Texts("vi").day("2026-11-08") == "08/11/2026"


def test_the_page_says_what_changed(context, tables):
    write_report(tables, {}, ReportSettings(), context)
    page = write_report(moved(tables, 0, 9), {}, ReportSettings(), context).decode()
    assert "What changed since" in page and "listings in another cluster" in page


def test_the_worst_pair_is_drawn_for_the_most_doubtful(context, tables):
    page = write_report(tables, {}, ReportSettings(pairs_drawn=1), context).decode()
    assert len(re.findall(r'<svg class="pair"', page)) == 1
    assert page.index('<svg class="pair"') < page.index("Sữa rửa mặt B")


def test_the_colours_of_a_crop_come_most_frequent_first():
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:30], pixels[30:] = (250, 10, 10), (10, 10, 250)
    first, second, *_ = main_colours(pixels)
    assert first.startswith("#f") and second.endswith("fa")
    assert main_colours(None) == ()


def embedded(tables):
    kept = tables.clean_images.loc[tables.clean_images["status"] == "kept", "crop_sha256"].tolist()
    clusters = tables.clusters.set_index("crop_sha256")["cluster_id"]
    generator = np.random.default_rng(0)
    vectors = [
        np.eye(6, dtype=np.float32)[int(clusters[crop]) % 6] + 0.01 * generator.normal(size=6)
        for crop in kept
    ]
    frame = pd.DataFrame(
        {"crop_sha256": kept, "vector": [vector.astype(np.float32) for vector in vectors]}
    )
    return type(tables)(**{**vars(tables), "embeddings": conform(frame, EMBEDDINGS)})


def test_the_map_keeps_clusters_together(tables):
    with_vectors = embedded(tables)
    drawn = draw_map(with_vectors, read_listings(tables))
    places = pd.DataFrame(
        [(dot.x, dot.y, dot.listing.cluster_id) for dot in drawn.dots],
        columns=["x", "y", "cluster"],
    )
    clustered = places[places["cluster"] > 0]
    middles = clustered.groupby("cluster")[["x", "y"]].mean()
    for x, y, cluster in clustered.itertuples(index=False):
        assert np.hypot(*(middles - [x, y]).T.to_numpy()).argmin() == middles.index.get_loc(cluster)
    assert (places[["x", "y"]] >= 0).all().all()
    assert (places[["x", "y"]] <= [drawn.width, drawn.height]).all().all()
    assert {dot.hue for dot in drawn.dots if dot.listing.cluster_id == -1} == {None}


def contrast(hue, tone, card):
    """Return the contrast of a dot and what it lies on, from 1 to 21 (WCAG 2)."""
    saturation, lightness = (int(share.rstrip("%")) / 100 for share in tone.split())
    dot = colorsys.hls_to_rgb(hue / 360, lightness, saturation)
    behind = [int(card[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = np.where(
        (both := np.array([dot, behind])) <= 0.04045, both / 12.92, ((both + 0.055) / 1.055) ** 2.4
    )
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (high + 0.05) / (low + 0.05)


def test_dots_stand_out_from_the_paper_in_the_light_and_in_the_dark(context, tables):
    page = write_report(embedded(tables), {}, ReportSettings(), context).decode()
    light, *dark = re.findall(r"--dot: ([^;]+);", page)
    papers = re.findall(r"--card: (#\w{6})", page)
    dots = re.findall(r'<circle [^>]+style="--hue: (\d+)"><title>[^<]+Cluster \d+</title>', page)
    assert dots and len(set(dark)) == 1 and len(papers) == 3
    assert min(contrast(hue, light, papers[0]) for hue in range(360)) > 2.3
    assert min(contrast(hue, dark[0], papers[1]) for hue in range(360)) > 3
    assert "Cluster -1" not in page and "Cluster None" not in page and "· No match</title>" in page


@pytest.mark.parametrize("clusters", [[1] * 8, [1, 1, 1, 1, 2, 2, 2, 2], [-1] * 8])
def test_few_clusters_and_equal_vectors_have_a_map_too(tables, clusters):
    same = embedded(tables)
    same.embeddings["vector"] = [np.ones(4, np.float32)] * len(same.embeddings)
    same.clusters.loc[:7, "cluster_id"] = clusters
    assert len(draw_map(same, read_listings(same)).dots) == 8


def test_drawings_of_the_steps_are_shown_as_images(context, tables):
    digest = context.blobs.put(
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    )
    facts = {"clusters": {"eps": 0.2, "eps_curve_svg": digest, "k_curve_svg": "0" * 64}}
    page = write_report(tables, facts, ReportSettings(), context).decode()
    assert (
        'src="data:image/svg+xml;base64,' in page
        and 'alt="eps curve"' in page
        and "k curve" not in page
    )
    assert digest not in page


def test_the_funnel_of_pictures_is_drawn_in_the_words_of_the_page(context, tables):
    facts = {"clean_images": {"pictures_of_listings": 1234, "crops_kept": 1000}}
    drawn = {}
    for language in ("en", "vi"):
        page = write_report(tables, facts, ReportSettings(language=language), context).decode()
        image = re.search(r'class="funnel-drawing" src="data:image/svg\+xml;base64,([^"]+)"', page)
        drawn[language] = base64.b64decode(image[1]).decode()
    assert "kept and compared" in drawn["en"] and "1,234" in drawn["en"]
    assert "giữ lại và so sánh" in drawn["vi"] and "1.234" in drawn["vi"]
