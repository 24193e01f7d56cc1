"""Limits for cosines in units of a category's own vectors."""

import os
from pathlib import Path

import numpy as np
import pytest

from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stages.clustering.methods import CLUSTERING_METHODS
from clustering_pipeline.stages.clustering.percolation import component_growth, fit_null
from clustering_pipeline.stages.clustering.problem import ClusteringProblem, no_edges
from clustering_pipeline.stages.clustering.tuning import choose_parameters

ROOT = Path(__file__).parents[3]
DATASETS = Path(os.environ.get("CLUSTERING_PIPELINE_DATASETS", ROOT.parent / "shared" / "datasets"))
CLIP = DATASETS / "clip_embeddings" / "image_embeddings.npy"


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def cone(count, dimension=32, common=2.0, seed=0):
    """Unrelated vectors that share a direction, as those of CLIP do."""
    drawn = np.random.default_rng(seed).normal(size=(count, dimension)) / np.sqrt(dimension)
    drawn[:, 0] += common
    return unit(drawn)


def problem_of(vectors):
    keys = [f"{number:064x}" for number in range(len(vectors))]
    return ClusteringProblem(keys, np.ones(len(vectors), np.int64), no_edges(), vectors)


def test_growth_is_that_of_single_linkage():
    vectors = cone(120)
    growth = component_growth(vectors, np.zeros(120), 50)
    distances = 1 - vectors.astype(float) @ vectors.astype(float).T
    for place in (5, 20, 60, 100):
        radius = (growth.radii[place] + growth.radii[place + 1]) / 2
        labels = _components(distances <= radius)
        sizes = np.sort(np.bincount(labels))[::-1]
        assert (growth.largest[place], growth.second[place]) == (sizes[0], sizes[1])


def _components(near):
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    return connected_components(csr_matrix(near), directed=False)[1]


@pytest.mark.parametrize("common", [0.0, 1.0, 3.0])
def test_chance_makes_the_links_that_are_asked_for_whatever_the_cone(common):
    vectors = cone(800, common=common)
    null = fit_null(vectors)
    radius = null.radius(1 / 10)
    cosines = vectors @ vectors.T
    links = (np.triu(cosines, 1) >= 1 - radius).sum() / 800
    assert 1 / 30 < links < 1 / 4
    assert null.links_per_crop(radius) == pytest.approx(1 / 10, rel=0.01)


def test_the_radius_for_fewer_links_is_smaller():
    null = fit_null(cone(500))
    radii = [null.radius(1 / per) for per in (1, 10, 100, 1000)]
    assert radii == sorted(radii, reverse=True)
    assert null.links_per_crop(2.0) >= null.links_per_crop(radii[0])


@pytest.mark.parametrize("vectors", [np.zeros((0, 4), np.float32), cone(1), cone(2), cone(4)])
def test_few_vectors_have_limits_too(vectors):
    growth = component_growth(vectors, np.zeros(len(vectors)), 8)
    radius, largest = growth.before_giant()
    assert radius > 0 and largest >= 1
    assert fit_null(vectors).radius(0.01) > 0


def test_copies_of_one_vector_are_no_surprise():
    vectors = np.repeat(cone(1), 50, axis=0)
    assert fit_null(vectors).radius(0.01) > 0
    assert component_growth(vectors, np.zeros(50), 16).before_giant()[0] > 0


@pytest.mark.parametrize(
    ("method", "limit"), [("dbscan", {"eps": "auto"}), ("components", {"threshold": "auto"})]
)
def test_no_cluster_of_real_clip_vectors_takes_in_the_others(method, limit):
    if not CLIP.is_file():
        pytest.skip(f"{CLIP} is not here")
    vectors = unit(np.load(CLIP).astype(np.float32))
    problem = problem_of(vectors)
    settings, (choice,) = choose_parameters(problem, ClusterSettings(method=method, **limit))
    labels = CLUSTERING_METHODS[method](problem, settings)
    largest = np.bincount(labels[labels >= 0]).max()
    assert largest <= 0.02 * len(vectors)
    assert len(np.unique(labels[labels >= 0])) > 20
    assert "one link per" in choice.reason
