"""HDBSCAN, agglomerative and spectral clustering, as scikit-learn has them."""

import warnings

import numpy as np
from scipy import sparse

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.stages.clustering.problem import Edges

# All distances between so many rows fill about 3 GB.
LARGEST_DENSE = 20_000


def hdbscan(
    vectors: np.ndarray, listings: np.ndarray, min_cluster_size: int, min_samples: int
) -> np.ndarray:
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


def agglomerative(vectors: np.ndarray, linkage: str, distance: float) -> np.ndarray:
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
    labels: np.ndarray = search.fit_predict(vectors.astype(np.float64))
    return labels.astype(np.int64)


def spectral(size: int, edges: Edges, k: int) -> np.ndarray:
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
        return search.fit_predict(affinity).astype(np.int64)
