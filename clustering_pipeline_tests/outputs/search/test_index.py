import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.outputs.search import QuerySettings, SearchIndex
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.embedding import Reduction
from clustering_pipeline.storage import FileTree
from clustering_pipeline_tests.outputs.report import samples as category
from clustering_pipeline_tests.outputs.search import samples


@pytest.fixture
def context(tmp_path):
    return category.context(tmp_path / "storage")


@pytest.fixture
def tables(context):
    return category.tables(context)


@pytest.fixture
def index(tables, context, tmp_path):
    files, _ = samples.build(tables, context, tmp_path / "search")
    return SearchIndex.load(files)


def listings(hits):
    return [hit.listing for hit in hits]


def test_the_nearest_listings_come_first_each_once(index):
    hits = index.query(samples.vector(0), top=3)
    assert hits[0].listing == 0 and hits[0].score == pytest.approx(1)
    assert set(listings(hits)) == {0, 1, 2}
    assert (
        hits[0].product_base_id == "P000"
        and hits[0].cluster_id == 1
        and hits[0].title.startswith("Kem")
    )


def test_more_hits_than_listings_gives_all(index):
    hits = index.query(samples.vector(3), top=100)
    assert sorted(listings(hits)) == list(range(8))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_cluster_mode_stays_within_the_nearest_cluster(index):
    assert set(listings(index.query(samples.vector(5), top=10, mode="cluster"))) == {5, 6}


def test_class_mode_stays_within_the_class(tables, context, tmp_path):
    tables.crops.loc[
        tables.crops["image_sha256"] == tables.raw_images["image_sha256"][4], "label"
    ] = "bottle"
    index = SearchIndex.load(samples.build(tables, context, tmp_path / "search")[0])
    assert listings(index.query(samples.vector(0), mode="class", label="bottle")) == [4]
    assert index.labels == ["bottle", "cream"]
    assert index.query(samples.vector(0), mode="class", label="no such class") == []


def test_a_duplicate_is_found_through_its_keeper(tables, context, tmp_path):
    crops = tables.crops.set_index("image_sha256")["crop_sha256"]
    first, second = (crops[image] for image in tables.raw_images["image_sha256"][:2])
    duplicate = tables.clean_images["crop_sha256"] == second
    tables.clean_images.loc[duplicate, ["status", "keeper"]] = ["duplicate", first]
    hits = SearchIndex.load(samples.build(tables, context, tmp_path / "search")[0]).query(
        samples.vector(0), top=2
    )
    assert listings(hits) == [0, 1] and hits[0].score == hits[1].score


def test_inverted_lists_give_the_same_answers(tables, context, tmp_path):
    files, result = samples.build(tables, context, tmp_path / "search", exact_below=1, recall=1)
    assert result.facts["lists"] > 0
    assert set(listings(SearchIndex.load(files).query(samples.vector(0), top=3))) == {0, 1, 2}


def test_the_same_input_writes_the_same_files(tables, context, tmp_path):
    _, first = samples.build(tables, context, tmp_path / "a")
    shuffled = type(tables)(
        **{**vars(tables), "crops": tables.crops.sample(frac=1, random_state=1)}
    )
    _, second = samples.build(shuffled, context, tmp_path / "b")
    pd.testing.assert_frame_equal(first.manifest, second.manifest)


def test_a_new_version_replaces_the_one_before_last(tables, context, tmp_path):
    files, _ = samples.build(tables, context, tmp_path / "search")
    old = SearchIndex.load(files)
    tables.catalogue["title"] = "renamed"
    samples.build(tables, context, tmp_path / "search")
    tables.catalogue["title"] = "renamed again"
    samples.build(tables, context, tmp_path / "search")
    assert SearchIndex.load(files).query(samples.vector(0))[0].title == "renamed again"
    assert len(files.list("")) == 3
    assert old.query(samples.vector(0))[0].title.startswith("Kem")


def test_an_index_is_found_by_listing_id(index):
    assert index.find("P003")[0] == index.query(samples.vector(3))[0]
    assert index.find("nobody") == []


def test_a_missing_index_says_what_to_do(tmp_path):
    with pytest.raises(StageError, match="search_index"):
        SearchIndex.load(FileTree(str(tmp_path / "none")))


def test_wrong_questions_are_refused(index):
    with pytest.raises(InputError, match="another encoder"):
        index.query(np.ones(3, np.float32))
    with pytest.raises(InputError, match="exact, class, cluster"):
        index.query(samples.vector(0), mode="nearest")
    with pytest.raises(InputError, match="class"):
        index.query(samples.vector(0), mode="class")


def test_a_query_is_reduced_as_the_vectors_were(tables, context, tmp_path):
    random = np.random.default_rng(0)
    # Sixteen numbers of an encoder, of which the index holds the eight that it was reduced to.
    axes = np.linalg.qr(random.normal(size=(16, 16)))[0][:, :8].astype(np.float32)
    middle = random.normal(size=16).astype(np.float32)
    query = QuerySettings(embeddings=EmbeddingSettings(reduce="pca", reduced_dimension=8))
    files, _ = samples.build(
        tables, context, tmp_path / "search", query=query, reduction=Reduction(middle, axes)
    )
    index = SearchIndex.load(files)
    whole = middle + 0.3 * axes @ samples.vector(3)
    placed = index.placed(whole / np.linalg.norm(whole))
    expected = (whole / np.linalg.norm(whole) - middle) @ axes
    np.testing.assert_allclose(placed, expected / np.linalg.norm(expected), atol=1e-5)
    assert len(index.query(placed, top=3)) == 3


def test_an_index_that_does_not_know_its_reduction_says_what_to_do(tables, context, tmp_path):
    query = QuerySettings(embeddings=EmbeddingSettings(reduce="pca"))
    index = SearchIndex.load(samples.build(tables, context, tmp_path / "s", query=query)[0])
    with pytest.raises(InputError, match=r"embeddings\.reduce.*Materialise embeddings"):
        index.placed(np.ones(16, np.float32))


def test_an_empty_category_has_an_index_that_finds_nothing(tables, context, tmp_path):
    frames = {
        name: value.iloc[:0] for name, value in vars(tables).items() if hasattr(value, "iloc")
    }
    empty = type(tables)(category="x", display_name="X", **frames)
    files, _ = samples.build(empty, context, tmp_path / "search")
    assert SearchIndex.load(files).query(samples.vector(0)) == []
