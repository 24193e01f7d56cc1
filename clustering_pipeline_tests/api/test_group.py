"""A grouping from Python: tables, answers, pictures, corrections, and what is refused."""

import subprocess
import sys

import numpy as np
import openpyxl
import pandas as pd
import pytest
from PIL import Image

import clustering_pipeline
from clustering_pipeline import group, open_project
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.imaging import to_jpeg
from clustering_pipeline.orchestration.assets import CATEGORY_ASSETS
from clustering_pipeline.stages.contract import STEPS
from clustering_pipeline.synthetic import draw_products, photograph

SETTINGS = {"matches": {"text": False}, "compute": {"workers": 1}}
# Two that are no variants of each other.
PRODUCTS = draw_products(12, seed=3)[1::6]
SHOPS = {"A1": 0, "A2": 0, "A3": 0, "B1": 1, "B2": 1, "B3": 1}


def photo(identifier):
    product = PRODUCTS[SHOPS[identifier]]
    return photograph(product, None, 10 + sum(map(ord, identifier)))


@pytest.fixture(scope="module")
def frame():
    """PIL images, a row without a picture, and columns of the user's own."""
    pictures = [Image.fromarray(photo(one)) for one in SHOPS]
    rows = {"id": [*SHOPS, "C1"], "image": [*pictures, None], "price": [*range(6), 7.5]}
    titles = ["Serum A", "Serum A chính hãng", "Serum A", "Toner B", "=1+1", "Toner B", "Nothing"]
    return pd.DataFrame({**rows, "title": titles})


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept") / "place"


@pytest.fixture(scope="module")
def result(frame, kept):
    return group(frame, name="Demo", keep=kept, **SETTINGS)


class TestTables:
    def test_every_listing_has_its_cluster_or_a_reason(self, result):
        shown = result.listings.set_index("id")
        assert shown["status"].tolist() == ["clustered"] * 6 + ["invalid_row"]
        assert shown.loc["C1", "reason"]
        assert shown.loc["A1", "cluster_id"] == shown.loc["A3", "cluster_id"]
        assert pd.isna(shown.loc["C1", "cluster_id"])

    def test_clusters_and_products_count_the_same_listings(self, result):
        assert result.clusters["listings"].tolist() == [3, 3]
        assert sorted(sorted(ids) for ids in result.products["ids"]) == [
            ["A1", "A2", "A3"],
            ["B1", "B2", "B3"],
        ]

    def test_what_matches_nothing_is_a_product_of_its_own(self, tmp_path):
        rows = {"id": ["A1", "B1"], "image": [photo("A1"), photo("B1")]}
        strict = {"smallest_weight": 3.0, "largest_weight": 6.0}
        found = group(pd.DataFrame(rows), clusters=strict, **SETTINGS)
        assert found.products["cluster_id"].tolist() == [-1, -1]
        assert found.clusters.empty

    def test_the_scores_are_those_of_the_truth(self, result):
        scores = result.evaluate({one: SHOPS[one] for one in SHOPS})
        assert scores["pairwise_f1"] == 1.0
        assert scores["listings_scored"] == 6
        wrong = pd.DataFrame({"id": ["A1", "B1"], "group": ["x", "x"]})
        assert result.evaluate(wrong)["pairwise_recall"] == 0.0


class TestPairs:
    def test_two_listings_of_one_product_are_the_same(self, result):
        assert result.same("A1", "A2")
        assert not result.same("A1", "B1")

    def test_the_evidence_is_told_and_drawn(self, result):
        evidence = result.matches("A1", "A2")
        assert evidence.probability > 0.5
        assert any("matched points" in words for words, _ in evidence.reasons)
        assert evidence.figures["inliers"] > 0
        assert evidence.drawing.count("<image") == 2
        assert "<line" in evidence.drawing
        assert evidence._repr_html_().count("data:image/jpeg") == 2
        assert "one product with a probability" in str(evidence)

    def test_a_listing_that_was_not_compared_says_why(self, result):
        assert "was not compared" in result.matches("A1", "C1").relation

    def test_an_unknown_id_names_the_nearest(self, result):
        with pytest.raises(InputError, match=r"no listing with the id 'A11'\. Is 'A1' meant"):
            result.same("A11", "A2")


class TestShow:
    def test_a_notebook_gets_pictures_and_escaped_titles(self, result):
        page = result.show(1, pictures=2)._repr_html_()
        assert page.count("<img") == 2
        assert "and 1 more cluster" in page

    def test_a_terminal_gets_a_line_a_cluster(self, result):
        lines = str(result.show(12)).splitlines()
        assert lines[0].startswith("Demo: 7 listings, 2 clusters")
        assert len(lines) == 3


class TestSearch:
    def test_the_listings_of_the_product_come_first(self, result):
        found = result.search(photograph(PRODUCTS[0], None, 99), top=3)
        assert sorted(found["id"]) == ["A1", "A2", "A3"]
        assert found["verified"].all()

    def test_what_is_no_picture_is_refused(self, result):
        with pytest.raises(InputError, match="uint8"):
            result.search(np.zeros((4, 4)))


class TestWorkbook:
    def test_the_catalogue_comes_back_with_clusters(self, result, tmp_path):
        path = result.to_excel(tmp_path / "out.xlsx")
        rows = list(openpyxl.load_workbook(path).worksheets[0].values)
        head = list(rows[0])
        assert {"product_base_id", "price", "title", "cluster_id", "status"} <= set(head)
        assert len(rows) == 8
        assert [row[head.index("title")] for row in rows][5] == "=1+1"
        assert len({row[head.index("cluster_id")] for row in rows[1:4]}) == 1

    def test_another_suffix_is_refused(self, result, tmp_path):
        with pytest.raises(InputError, match="must end in"):
            result.to_excel(tmp_path / "out.docx")


class TestCorrected:
    def test_what_a_person_says_holds_and_the_first_result_stays(self, frame, tmp_path):
        first = group(frame, keep=tmp_path / "kept", **SETTINGS)
        second = first.corrected(same=[("A1", "B1")], different=[("A1", "A2")])
        assert second.same("A1", "B1") and not second.same("A1", "A2")
        assert first.same("A1", "A2")
        again = group(frame, keep=tmp_path / "kept", **SETTINGS)
        assert again.same("A1", "B1")


class TestKeeping:
    def test_a_second_call_finds_what_was_kept(self, frame, kept, result):
        context = group(frame, name="Demo", keep=kept, **SETTINGS)
        pd.testing.assert_frame_equal(context.listings, result.listings)

    def test_a_kept_folder_is_opened_as_a_project(self, kept, result):
        opened = open_project(kept)
        assert opened.categories == ["demo"]
        pd.testing.assert_frame_equal(opened.result().listings, result.listings)
        assert opened.result("Demo").same("A1", "A2")

    def test_an_unknown_category_names_those_there_are(self, kept, result):
        with pytest.raises(InputError, match="Known are: demo"):
            open_project(kept).result("Toner")

    def test_a_home_of_dagster_is_not_written_to(self, frame, tmp_path):
        (tmp_path / "home" / "history").mkdir(parents=True)
        with pytest.raises(InputError, match="open_project"):
            group(frame, keep=tmp_path / "home", **SETTINGS)

    def test_a_folder_that_is_no_home_is_refused(self, tmp_path):
        with pytest.raises(InputError, match="no home"):
            open_project(tmp_path)


class TestInput:
    def test_paths_and_workbooks_are_taken_as_they_are(self, tmp_path):
        for one in ("A1", "A2"):
            (tmp_path / f"{one}.jpg").write_bytes(to_jpeg(photo(one)))
        paths = pd.DataFrame(
            {"id": ["A1", "A2"], "path": [tmp_path / "A1.jpg", tmp_path / "A2.jpg"]}
        )
        assert group(paths, **SETTINGS).same("A1", "A2")
        book = tmp_path / "kem.csv"
        book.write_text("product_base_id,url_thumbnail\nA1,A1.jpg\nA2,A2.jpg\n")
        found = group(book, images_from=tmp_path, **SETTINGS)
        assert found.name == "kem"
        assert found.same("A1", "A2")

    @pytest.mark.parametrize(
        ("table", "words"),
        [
            (pd.DataFrame({"url": ["x"]}), "no column of ids"),
            (pd.DataFrame({"id": ["1"]}), "no column of pictures"),
            (pd.DataFrame({"id": [], "path": []}), "no row"),
            (pd.DataFrame({"id": ["1"], "path": ["none.jpg"]}), r"row 0 \(id 1\).*cannot be read"),
            (pd.DataFrame({"id": ["1"], "image": [17]}), r"row 0 \(id 1\) is a int"),
        ],
    )
    def test_a_table_that_cannot_be_used_says_where(self, table, words):
        with pytest.raises(InputError, match=words):
            group(table)

    def test_an_unknown_setting_names_the_nearest(self):
        with pytest.raises(InputError, match=r"group\(\): there is no setting `clusters.epz`"):
            group(pd.DataFrame({"id": ["1"], "image": [photo("A1")]}), clusters={"epz": 1})


def test_a_script_without_a_guard_may_use_several_workers(tmp_path):
    """A worker that ran the script again would start workers of its own, without end."""
    script = tmp_path / "script.py"
    script.write_text(
        "import pandas as pd\n"
        "from clustering_pipeline import group\n"
        "from clustering_pipeline.synthetic import draw_products, photograph\n"
        "photos = [photograph(draw_products(1, seed=3)[0], None, n) for n in range(12)]\n"
        "frame = pd.DataFrame({'id': range(12), 'image': photos})\n"
        "settings = {'workers': 2}\n"
        "crops = {'batch_size': 4}\n"
        "found = group(frame, matches={'text': False}, compute=settings, crops=crops)\n"
        "print(len(found))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=250)
    assert done.stdout.strip() == "12", done.stderr[-2000:]


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, clustering_pipeline; print({'pandas', 'cv2', 'dagster'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_public_name_is_there():
    assert all(callable(getattr(clustering_pipeline, name)) for name in clustering_pipeline.__all__)
    with pytest.raises(AttributeError, match="no attribute 'grup'"):
        _ = clustering_pipeline.grup


def test_the_steps_take_what_dagsters_assets_take():
    """An asset with a page beside it is declared by its function, the others by the step."""
    inputs = {
        asset.key.to_user_string(): {
            key.to_user_string() for key in asset.keys_by_input_name.values()
        }
        for asset in CATEGORY_ASSETS
    }
    for name, step in STEPS.items():
        assert set(step.inputs) == {one for one in inputs[name] if "/" not in one}, name
        assert len(step.settings) == sum("/" in one for one in inputs[name]), name
