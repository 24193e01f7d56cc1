"""The algorithms that cuML has, on classes with the signatures of its documentation that compute by
scikit-learn.
"""

import sys
import types

import faiss
import numpy as np
import pytest
from sklearn import cluster

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stages.clustering import CLUSTERING_METHODS
from clustering_pipeline_tests.stages.clustering.test_methods import (
    blobs,
    problem_of,
    same_partition,
)


class Agglomerative:
    def __init__(
        self,
        n_clusters=2,
        *,
        metric="euclidean",
        connectivity="knn",
        linkage="single",
        c=15,
        verbose=False,
        output_type=None,
    ):
        if connectivity == "knn" and metric != "euclidean":
            raise ValueError("If connectivity is knn only euclidean is accepted")
        self.search = cluster.AgglomerativeClustering(n_clusters, metric=metric, linkage=linkage)

    def fit_predict(self, vectors):
        return self.search.fit_predict(vectors)


class Dbscan:
    def __init__(
        self,
        *,
        eps=0.5,
        min_samples=5,
        metric="euclidean",
        algorithm="brute",
        verbose=False,
        max_mbytes_per_batch=None,
        output_type=None,
        calc_core_sample_indices=True,
    ):
        assert max_mbytes_per_batch is not None
        self.search = cluster.DBSCAN(eps=eps, min_samples=min_samples, metric=metric)

    def fit_predict(self, vectors, sample_weight=None):
        return self.search.fit_predict(vectors, sample_weight=sample_weight)


class Hdbscan:
    """Counts the neighbours of a point without the point itself."""

    def __init__(self, *, min_cluster_size=5, min_samples=None, output_type=None):
        self.search = cluster.HDBSCAN(
            min_cluster_size=min_cluster_size, min_samples=min_samples + 1, copy=True
        )

    def fit_predict(self, vectors):
        return self.search.fit_predict(vectors.astype(np.float64))


@pytest.fixture(autouse=True)
def cuml(monkeypatch):
    classes = {"AgglomerativeClustering": Agglomerative, "DBSCAN": Dbscan, "HDBSCAN": Hdbscan}
    module = types.ModuleType("cuml.cluster")
    vars(module).update(classes)
    package = types.ModuleType("cuml")
    package.cluster = module
    monkeypatch.setitem(sys.modules, "cuml", package)
    monkeypatch.setitem(sys.modules, "cuml.cluster", module)


@pytest.mark.parametrize(
    "choice",
    [
        {"method": "dbscan", "eps": 0.1, "min_samples": 3},
        {"method": "hdbscan", "min_cluster_size": 3, "min_samples": 3},
    ],
    ids=lambda choice: choice["method"],
)
def test_the_gpu_groups_as_the_processor_does(choice):
    problem = problem_of(blobs(noise=5)[0])
    on_processor, on_gpu = (
        CLUSTERING_METHODS[choice["method"]](problem, ClusterSettings(**choice, device=device))
        for device in ("cpu", "gpu")
    )
    assert same_partition(on_processor, on_gpu)


def test_single_linkage_finds_as_many_clusters_as_asked():
    vectors, truth = blobs(products=6)
    settings = ClusterSettings(method="agglomerative", k=6, linkage="single", device="gpu")
    labels = CLUSTERING_METHODS["agglomerative"](problem_of(vectors), settings)
    assert same_partition(labels, truth)


@pytest.mark.skipif(hasattr(faiss, "StandardGpuResources"), reason="faiss is built for GPUs here")
def test_kmeans_does_not_take_the_processor_in_silence():
    settings = ClusterSettings(method="kmeans", k=3, device="gpu")
    with pytest.raises(StageError, match=r"faiss.*clusters\.device to cpu"):
        CLUSTERING_METHODS["kmeans"](problem_of(blobs()[0]), settings)
