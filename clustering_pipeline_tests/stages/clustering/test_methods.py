import numpy as np
import pytest
from sklearn.cluster import DBSCAN

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stages.clustering import CLUSTERING_METHODS, algorithms, read_drawings
from clustering_pipeline.stages.clustering.algorithms import dbscan
from clustering_pipeline.stages.clustering.listings import _cosine_edges
from clustering_pipeline.stages.clustering.problem import ClusteringProblem
from clustering_pipeline.stages.clustering.tuning import (
    choose_k,
    choose_limit,
    choose_parameters,
    knee,
)

VECTOR_METHODS = ("dbscan", "hdbscan", "kmeans", "spectral", "agglomerative", "components")


def unit(vectors):
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def blobs(products=6, each=8, noise=0, spread=0.05, dimensions=16, seed=0):
    random = np.random.default_rng(seed)
    centres = random.normal(size=(products, dimensions))
    truth = np.repeat(np.arange(products), each)
    vectors = centres[truth] + spread * random.normal(size=(len(truth), dimensions))
    return unit(np.vstack([vectors, random.normal(size=(noise, dimensions))])), truth


def problem_of(vectors, listings=None):
    keys = [f"{index:064x}" for index in range(len(vectors))]
    weights = np.ones(len(vectors), np.int64) if listings is None else np.asarray(listings)
    return ClusteringProblem(keys, weights, _cosine_edges(keys, vectors, 64), vectors)


def same_partition(a, b):
    return (
        len(set(zip(a.tolist(), b.tolist(), strict=True)))
        == len(set(a.tolist()))
        == len(set(b.tolist()))
    )


@pytest.mark.parametrize("method", VECTOR_METHODS)
def test_well_apart_products_are_found(method):
    vectors, truth = blobs()
    labels = CLUSTERING_METHODS[method](
        problem_of(vectors),
        ClusterSettings(method=method, eps=0.1, distance=0.2, k=6, min_samples=3),
    )
    assert same_partition(labels, truth)


@pytest.mark.parametrize("method", [*VECTOR_METHODS, "graph"])
def test_one_or_two_crops_are_no_error(method):
    for count in (1, 2):
        settings = ClusterSettings(method=method, evidence="embeddings", k=2)
        assert (
            len(CLUSTERING_METHODS[method](problem_of(unit(np.ones((count, 4)))), settings))
            == count
        )


class TestDbscan:
    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize("block_rows", [7, 1024])
    def test_labels_are_scikit_learns(self, seed, block_rows):
        vectors, _ = blobs(products=9, each=20, noise=60, spread=0.25, seed=seed)
        weights = np.random.default_rng(seed).integers(1, 4, len(vectors))
        for eps, min_samples in ((0.03, 2), (0.06, 5), (0.2, 12)):
            theirs = DBSCAN(eps=eps, min_samples=min_samples, metric="cosine", algorithm="brute")
            expected = theirs.fit_predict(vectors.astype(np.float64), sample_weight=weights)
            ours = dbscan(vectors, eps, min_samples, weights=weights, block_rows=block_rows)
            assert ours.tolist() == expected.tolist()

    def test_distances_at_the_edge_are_decided_in_double_precision(self):
        angle = np.arccos(1 - 0.1)
        turns = angle * (1 + np.array([-3e-6, 3e-6]))
        vectors = np.vstack([[1, 0], *[[np.cos(turn), np.sin(turn)] for turn in turns]])
        float32 = vectors.astype(np.float32)
        expected = DBSCAN(eps=0.1, min_samples=2, metric="cosine", algorithm="brute").fit_predict(
            float32[[0, 1]].astype(np.float64)
        )
        assert dbscan(float32[[0, 1]], 0.1, 2).tolist() == expected.tolist()

    def test_too_many_pairs_to_keep_are_computed_again(self, monkeypatch):
        vectors, _ = blobs(products=3, each=30, noise=10, spread=0.2)
        expected = dbscan(vectors, 0.1, 4)
        monkeypatch.setattr(algorithms, "KEPT_PAIRS", 10)
        assert dbscan(vectors, 0.1, 4, block_rows=16).tolist() == expected.tolist()

    def test_a_keeper_of_many_listings_is_a_core(self):
        vectors = unit([[1, 0], [1, 0.1], [0, 1]])
        assert dbscan(vectors, 0.02, 5, weights=np.array([4, 1, 1])).tolist() == [0, 0, -1]


class TestEvidence:
    @pytest.mark.parametrize("method", ["graph", "dbscan", "components", "spectral"])
    def test_matches_are_grouped(self, world, context, method):
        for name in "abcdef":
            world.listing(name, name)
        for pair in ("ab", "bc", "ac", "de", "ef", "df"):
            world.match(*pair, probability=0.95)
        clusters = world.clusters(
            context, method=method, evidence="matches", eps=0.1, threshold=0.9, k=2
        )
        assert sorted(clusters.values()) == [1, 1, 1, 2, 2, 2]

    def test_graph_groups_embeddings_too(self, world, context):
        vectors, truth = blobs(products=4, each=5)
        for index, vector in enumerate(vectors):
            world.vectors[f"p{index}"] = vector
            world.listing(f"p{index}", f"p{index}")
        clusters = world.clusters(context, evidence="embeddings", smallest_weight=0.9)
        assert same_partition(np.array([clusters[f"p{index}"] for index in range(20)]), truth)


class TestChoices:
    def test_the_knee_is_the_corner(self):
        assert knee(np.arange(10.0), np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 3, 6, 9, 12])) == 5

    @pytest.mark.parametrize("min_samples", [2, 3])
    def test_eps_lies_between_neighbours_and_strangers(self, min_samples):
        vectors, truth = blobs(products=10, each=10, noise=30)
        settings = ClusterSettings(method="dbscan", eps="auto", min_samples=min_samples)
        choice = choose_limit(problem_of(vectors), "eps", settings)
        labels = dbscan(vectors, choice.value, min_samples)
        assert same_partition(labels[: len(truth)], truth)

    def test_a_threshold_lies_there_too(self):
        vectors, truth = blobs(products=10, each=10)
        problem = problem_of(vectors)
        settings = ClusterSettings(method="components", threshold="auto")
        chosen, (choice,) = choose_parameters(problem, settings)
        assert chosen.threshold == choice.value
        assert same_partition(CLUSTERING_METHODS["components"](problem, chosen), truth)

    @pytest.mark.parametrize("limit", ["auto", "1/100"])
    def test_matches_have_no_cosines_to_choose_from(self, limit):
        with pytest.raises(ValueError, match="reads distances of embeddings"):
            ClusterSettings(method="components", evidence="matches", threshold=limit)

    @pytest.mark.parametrize("rule", ["elbow", "silhouette", "gap"])
    def test_k_is_about_the_number_of_products(self, rule):
        vectors, _ = blobs(products=6, each=12, spread=0.03)
        choice = choose_k(problem_of(vectors), rule, (2, 16))
        assert 5 <= choice.value <= 7

    def test_choices_and_sweeps_are_told_and_drawn(self, world, context):
        vectors, _ = blobs(products=4, each=5)
        for index, vector in enumerate(vectors):
            world.vectors[f"p{index}"] = vector
            world.listing(f"p{index}", f"p{index}")
        facts = world.group(
            context, method="dbscan", eps="auto", sweep="eps=0.02:0.2:0.06", projection="pca"
        ).facts
        assert 0 < facts["eps"] < 1
        assert "takes in all others" in facts["eps_reason"]
        assert "chance makes" in facts["eps_reason"]
        for name in (
            "eps_curve",
            "sweep_silhouette",
            "sweep_davies_bouldin",
            "sweep_gap",
            "sweep_inertia",
            "projection",
        ):
            assert (
                context.blobs.get(facts[f"{name}_svg"]).decode()
                == read_drawings(context, "toner")[name]
            )
        world.group(context)
        assert read_drawings(context, "toner") == {}

    def test_dropped_listings_are_in_no_figure(self, world, context):
        world.listing("a", "a").listing("b", "b").listing("lone", "lone").match("a", "b")
        result = world.group(context, no_match="drop", projection="pca")
        assert result.manifest["cluster_id"].tolist() == [1, 1, -1]
        assert (result.facts["listings"], result.facts["noise_share"]) == (2, 0)
        assert read_drawings(context, "toner")["projection"].count("<circle") == 2


def test_a_gpu_that_is_not_there_is_named_with_the_remedy():
    with pytest.raises(StageError, match=r"clusters\.device to cpu"):
        CLUSTERING_METHODS["dbscan"](
            problem_of(blobs()[0]), ClusterSettings(method="dbscan", device="gpu")
        )
