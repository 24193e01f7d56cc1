"""The clustering methods by name.

A method sees only nodes and evidence and returns a label per node, -1 for noise.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.graph import component_labels
from clustering_pipeline.core.vectors import pairs_within
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stages.clustering import algorithms
from clustering_pipeline.stages.clustering.contradictions import cut_contradicted, part_repelled
from clustering_pipeline.stages.clustering.map_equation import communities
from clustering_pipeline.stages.clustering.problem import ClusteringProblem

ClusteringMethod = Callable[[ClusteringProblem, ClusterSettings], NDArray[np.int64]]


def graph(problem: ClusteringProblem, settings: ClusterSettings) -> NDArray[np.int64]:
    """Communities of the evidence by the map equation, cut where their members contradict or repel
    each other.

    Strong matches are capped, and of each only what exceeds the least counts.

    Many weak links between two products of many listings would otherwise add up to as much as the
    few strong ones within. Copies of one picture are no independent evidence, so that a keeper's
    links weigh the same however many it stands for.
    """
    edges = problem.edges.where(problem.edges.weights > settings.smallest_weight)
    weights = np.minimum(edges.weights, settings.largest_weight) - settings.smallest_weight
    modules = communities(
        problem.size,
        edges.rows,
        edges.columns,
        weights,
        problem.hashes,
        trials=settings.trials,
        elsewhere=settings.elsewhere,
    )
    cut = cut_contradicted(modules, problem.contradictions, edges, settings.contradiction)
    return part_repelled(cut, problem.odds, problem.repulsions)


def dbscan(problem: ClusteringProblem, settings: ClusterSettings) -> NDArray[np.int64]:
    """DBSCAN over cosine distance, or over one less the probability of verified matches; crops
    weigh their listings.
    """
    eps = float(settings.eps)
    if settings.works_on == "matches":
        near = problem.edges.where(1 - problem.edges.probabilities <= eps)
        return algorithms.dbscan_on_links(
            problem.size,
            (near.rows, near.columns),
            settings.min_samples,
            problem.listings.astype(float),
        )
    if settings.device == "gpu":
        return algorithms.cuda_dbscan(problem.vectors, eps, settings.min_samples, problem.listings)
    return algorithms.dbscan(
        problem.vectors,
        eps,
        settings.min_samples,
        weights=problem.listings,
        block_rows=settings.block_rows,
    )


def hdbscan(problem: ClusteringProblem, settings: ClusterSettings) -> NDArray[np.int64]:
    """HDBSCAN over the embeddings; crops count as their listings."""
    search = algorithms.cuda_hdbscan if settings.device == "gpu" else algorithms.hdbscan
    return search(
        problem.vectors, problem.listings, settings.min_cluster_size, settings.min_samples
    )


def k_means(problem: ClusteringProblem, settings: ClusterSettings) -> NDArray[np.int64]:
    """Spherical k-means on FAISS; crops weigh their listings."""
    return algorithms.kmeans(
        problem.vectors, int(settings.k), weights=problem.listings, gpu=settings.device == "gpu"
    )[0]


def spectral(problem: ClusteringProblem, settings: ClusterSettings) -> NDArray[np.int64]:
    """Spectral clustering of the matches, or of the cosines of nearest neighbours."""
    return algorithms.spectral(problem.size, problem.edges, int(settings.k))


def agglomerative(problem: ClusteringProblem, settings: ClusterSettings) -> NDArray[np.int64]:
    """Agglomerative clustering by cosine distance."""
    if settings.device == "gpu":
        return algorithms.cuda_agglomerative(problem.vectors, int(settings.k))
    return algorithms.agglomerative(problem.vectors, settings.linkage, settings.distance)


def components(problem: ClusteringProblem, settings: ClusterSettings) -> NDArray[np.int64]:
    """Connected components of pairs with cosine at least `threshold`, each member re-checked
    against its component's king.

    Over matches: of pairs with a probability of at least `threshold`; those were verified one by
    one.
    """
    threshold = float(settings.threshold)
    if settings.works_on == "matches":
        sure = problem.edges.where(problem.edges.probabilities >= threshold)
        return component_labels(problem.size, sure.rows, sure.columns)
    rows, columns = pairs_within(problem.vectors, 1 - threshold, settings.block_rows)
    labels = component_labels(problem.size, rows, columns)
    return recheck(labels, problem, threshold)


def recheck(
    labels: NDArray[np.int64], problem: ClusteringProblem, threshold: float
) -> NDArray[np.int64]:
    """Return labels in which every member has a cosine of at least `threshold` to the king of its
    cluster.

    The king is the crop that stands for most listings. A member less alike to it starts over with
    the other such members, since similarity is not transitive.
    """
    order = np.lexsort((np.arange(problem.size), -problem.listings, labels))
    kings: dict[int, list[int]] = {}
    result = np.empty(problem.size, np.int64)
    for node in order:
        cluster_kings = kings.setdefault(int(labels[node]), [])
        similarities = (
            problem.vectors[cluster_kings] @ problem.vectors[node] if cluster_kings else np.empty(0)
        )
        if cluster_kings and similarities.max() >= threshold:
            result[node] = cluster_kings[int(similarities.argmax())]
        else:
            cluster_kings.append(int(node))
            result[node] = node
    return result


CLUSTERING_METHODS: dict[str, ClusteringMethod] = {
    "graph": graph,
    "dbscan": dbscan,
    "hdbscan": hdbscan,
    "kmeans": k_means,
    "spectral": spectral,
    "agglomerative": agglomerative,
    "components": components,
}
