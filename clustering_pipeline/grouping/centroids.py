"""k-means over unit vectors, on FAISS."""

import numpy as np

ITERATIONS, RESTARTS, SEED = 25, 3, 20231


def kmeans(vectors: np.ndarray, k: int, *, weights: np.ndarray, gpu: bool = False) -> tuple[np.ndarray, float]:
    """Return labels (int64, n) and the inertia (sum of weighted squared distances) of spherical k-means.

    `vectors` float32 (n, d) of unit length, `weights` (n) how many listings each stands for. The same vectors in the same order
    give the same labels; `gpu` needs a FAISS that was built for one.
    """
    import faiss

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
