"""The same methods on a CUDA device, by cuML."""

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError

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


def dbscan(
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


def hdbscan(
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


def agglomerative(vectors: NDArray[np.float32], k: int) -> NDArray[np.int64]:
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
