"""The algorithms behind the methods, on the processor and, as cuda_…, on a CUDA device by cuML:
DBSCAN, exact and in bounded memory (Ester, Kriegel, Sander and Xu, KDD 1996), and those of
scikit-learn.
"""

import warnings
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.core.graph import component_labels
from clustering_pipeline.core.vectors import near_pairs
from clustering_pipeline.stages.clustering.problem import NOISE, Edges

# Of k-means: FAISS's own number of iterations, and how often it begins again, the best run kept.
ITERATIONS = 25
RESTARTS = 3
SEED = 20231
# All distances between so many rows fill about 3 GB.
LARGEST_DENSE = 20_000
Pairs = tuple[NDArray[np.integer], NDArray[np.integer]]
# Pairs kept between the two passes (8 bytes each); above, the distances are computed a second time.
KEPT_PAIRS = 60_000_000


def dbscan(
    vectors: NDArray[np.float32],
    eps: float,
    min_samples: int,
    *,
    weights: NDArray[np.int64] | NDArray[np.float64] | None = None,
    block_rows: int = 1024,
) -> NDArray[np.int64]:
    """Return scikit-learn's labels (int64, n) for `DBSCAN(eps, min_samples, metric="cosine")` with
    `sample_weight=weights`.

    `vectors` float32 (n, d) of unit length; `eps` a cosine distance; a node is a core when the
    weights within eps of it, its own included, add up to `min_samples`. Clusters are numbered by
    their first core. Half of the distances are computed, once unless more than `KEPT_PAIRS` of them
    are within eps.

    Example:
        >>> vectors = np.array([[1, 0], [0.995, 0.1], [0, 1]], np.float32)
        >>> vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        >>> dbscan(vectors, eps=0.05, min_samples=2).tolist()
        [0, 0, -1]
    """
    counts = np.ones(len(vectors)) if weights is None else weights.astype(float)
    mass, kept, pair_count = counts.copy(), list[Pairs](), 0
    for rows, columns in near_pairs(vectors, eps, block_rows):
        mass += np.bincount(rows, counts[columns], minlength=len(mass)) + np.bincount(
            columns, counts[rows], minlength=len(mass)
        )
        pair_count += len(rows)
        if pair_count <= KEPT_PAIRS:
            kept.append((rows, columns))
    again = kept if pair_count <= KEPT_PAIRS else near_pairs(vectors, eps, block_rows)
    return _label(mass >= min_samples, again)


def dbscan_on_links(
    size: int, pairs: Pairs, min_samples: int, weights: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return DBSCAN's labels (int64, n) where `pairs` (each once) are the nodes within eps of each
    other.
    """
    rows, columns = pairs
    mass = (
        weights
        + np.bincount(rows, weights[columns], minlength=size)
        + np.bincount(columns, weights[rows], minlength=size)
    )
    return _label(mass >= min_samples, [pairs])


def _label(cores: NDArray[np.bool_], pairs: Iterable[Pairs]) -> NDArray[np.int64]:
    size = len(cores)
    parts: NDArray[np.int64] = np.arange(size)
    border = list[Pairs]()
    for rows, columns in pairs:
        both = cores[rows] & cores[columns]
        parts = component_labels(len(parts), parts[rows[both]], parts[columns[both]])[parts]
        # A node that is no core has few neighbours, so that keeping them is cheap.
        border += _outer(cores, rows, columns)
    labels = np.full(size, NOISE, np.int64)
    core_nodes = np.flatnonzero(cores)
    _, first, inverse = np.unique(parts[core_nodes], return_index=True, return_inverse=True)
    labels[core_nodes] = np.argsort(np.argsort(first))[inverse]
    lowest = np.full(size, size, np.int64)
    for outer, core in border:
        # The cluster that is grown first takes a border node, and clusters are grown in the order
        # of their numbers.
        np.minimum.at(lowest, outer, labels[core])
    return np.where(lowest < size, lowest, labels)


def _outer(
    cores: NDArray[np.bool_], rows: NDArray[np.integer], columns: NDArray[np.integer]
) -> Iterator[Pairs]:
    for outer, core in ((rows, columns), (columns, rows)):
        reached = ~cores[outer] & cores[core]
        yield outer[reached], core[reached]


def hdbscan(
    vectors: NDArray[np.float32],
    listings: NDArray[np.int64],
    min_cluster_size: int,
    min_samples: int,
) -> NDArray[np.int64]:
    """Return HDBSCAN's labels (int64, n; Campello, Moulavi and Sander 2013) over unit vectors (n,
    d).

    A node counts as often as the listings it stands for, up to the smallest cluster's size, beyond
    which more change nothing.
    """
    from sklearn.cluster import HDBSCAN

    rows = np.repeat(np.arange(len(vectors)), np.minimum(listings, min_cluster_size))
    if len(rows) < max(2, min_samples):
        return np.full(len(vectors), -1, np.int64)
    search = HDBSCAN(min_cluster_size=max(2, min_cluster_size), min_samples=min_samples, copy=True)
    labels = np.empty(len(vectors), np.int64)
    labels[rows] = search.fit_predict(vectors[rows].astype(np.float64))
    return labels


def kmeans(
    vectors: NDArray[np.float32], k: int, *, weights: NDArray[np.int64], gpu: bool = False
) -> tuple[NDArray[np.int64], float]:
    """Return labels (int64, n) and the inertia (sum of weighted squared distances) of spherical
    k-means.

    `vectors` float32 (n, d) of unit length, `weights` (n) how many listings each stands for. The
    same vectors in the same order give the same labels; `gpu` needs a FAISS that was built for one.
    """
    import faiss

    if gpu and not hasattr(faiss, "StandardGpuResources"):
        raise StageError(
            "clusters.device is gpu, but the module faiss that is installed is built for "
            "processors, and kmeans would run on one in silence. Uninstall faiss-cpu and install "
            "faiss-gpu-cu12 again (`clustering-pipeline doctor` says how), or set clusters.device "
            "to cpu."
        )
    k = min(k, len(vectors))
    counts = np.ascontiguousarray(weights, np.float32)
    search = faiss.Kmeans(
        vectors.shape[1],
        k,
        niter=ITERATIONS,
        nredo=RESTARTS,
        seed=SEED,
        spherical=True,
        gpu=gpu,
        min_points_per_centroid=1,
        max_points_per_centroid=len(vectors),
    )
    search.train(np.ascontiguousarray(vectors), weights=counts)
    distances, labels = search.index.search(np.ascontiguousarray(vectors), 1)
    # A spherical search returns inner products.
    return labels.ravel().astype(np.int64), float((counts * (2 - 2 * distances.ravel())).sum())


def agglomerative(vectors: NDArray[np.float32], linkage: str, distance: float) -> NDArray[np.int64]:
    """Return labels (int64, n) of unit vectors merged while the `linkage` ("average" or "complete")
    cosine distance is at most `distance`. Raises InputError above `LARGEST_DENSE` nodes.
    """
    from sklearn.cluster import AgglomerativeClustering

    if len(vectors) > LARGEST_DENSE:
        raise InputError(
            f"clusters.method agglomerative compares all pairs, and {len(vectors)} crops are more "
            f"than the {LARGEST_DENSE} that fit into memory. Set clusters.method to graph, dbscan "
            "or components, or split the category."
        )
    if len(vectors) < 2:
        return np.zeros(len(vectors), np.int64)
    search = AgglomerativeClustering(
        n_clusters=None, distance_threshold=distance, metric="cosine", linkage=linkage
    )
    labels: NDArray[np.int64] = search.fit_predict(vectors.astype(np.float64))
    return labels.astype(np.int64)


def spectral(size: int, edges: Edges, k: int) -> NDArray[np.int64]:
    """Return labels (int64, n) of normalised spectral clustering (von Luxburg 2007) on the weighted
    graph of `edges`.

    The Laplacian stays sparse; labels come from the pivoted QR of its eigenvectors, without a
    random start.
    """
    from sklearn.cluster import SpectralClustering

    ends = np.concatenate([edges.rows, edges.columns]), np.concatenate([edges.columns, edges.rows])
    affinity = sparse.csr_matrix((np.tile(edges.weights, 2), ends), shape=(size, size))
    # A node without links would have no degree to divide by.
    affinity = (affinity + sparse.identity(size) * 1e-6).tocsr()
    k = min(k, size - 2)
    if k < 2:
        return np.zeros(size, np.int64)
    search = SpectralClustering(
        k, affinity="precomputed", assign_labels="cluster_qr", random_state=0, eigen_solver="arpack"
    )
    with warnings.catch_warnings():
        # Products hang together in parts by nature; their eigenvectors tell the parts apart as
        # well.
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        return np.asarray(search.fit_predict(affinity), np.int64)


# Of the distances that DBSCAN holds at once; without a limit it asks for all of them.
_BATCH_MEGABYTES = 2048


def load_cuml() -> ModuleType:
    """Return cuML's clustering module; raises StageError that names the remedy when it cannot be
    loaded.
    """
    try:
        import cuml.cluster
    except (ImportError, OSError, RuntimeError) as error:
        raise StageError(
            f"clusters.device is gpu, but cuML cannot be loaded ({error}). Install the extra `gpu` "
            "on a Linux machine with an NVIDIA GPU, or set clusters.device to cpu: the methods "
            "are the same there."
        ) from error
    module: ModuleType = cuml.cluster
    return module


def _labels(search: Any, *arguments: Any, **options: Any) -> NDArray[np.int64]:
    return np.asarray(search.fit_predict(*arguments, **options)).astype(np.int64)


def cuda_dbscan(
    vectors: NDArray[np.float32], eps: float, min_samples: int, weights: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return DBSCAN's labels (int64, n) of unit vectors within cosine distance `eps`, weighted by
    listings.
    """
    search = load_cuml().DBSCAN(
        eps=eps,
        min_samples=min_samples,
        metric="cosine",
        max_mbytes_per_batch=_BATCH_MEGABYTES,
        output_type="numpy",
        calc_core_sample_indices=False,
    )
    return _labels(search, vectors, sample_weight=weights.astype(np.float32))


def cuda_hdbscan(
    vectors: NDArray[np.float32],
    listings: NDArray[np.int64],
    min_cluster_size: int,
    min_samples: int,
) -> NDArray[np.int64]:
    """Return HDBSCAN's labels (int64, n) of unit vectors, each repeated as often as the listings it
    stands for.
    """
    rows = np.repeat(np.arange(len(vectors)), np.minimum(listings, min_cluster_size))
    search = load_cuml().HDBSCAN(
        min_cluster_size=max(2, min_cluster_size),
        # scikit-learn counts the point itself among its neighbours, cuML does not.
        min_samples=max(1, min_samples - 1),
        output_type="numpy",
    )
    labels = np.empty(len(vectors), np.int64)
    labels[rows] = _labels(search, vectors[rows])
    return labels


def cuda_agglomerative(vectors: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return labels (int64, n) of `k` clusters by single linkage over cosine distance, the only
    linkage that cuML has; every distance is held, since its graph of neighbours knows no cosine.
    """
    search = load_cuml().AgglomerativeClustering(
        n_clusters=k,
        metric="cosine",
        connectivity="pairwise",
        linkage="single",
        output_type="numpy",
    )
    return _labels(search, vectors)
