"""A picture of a category: its embeddings in two dimensions."""

import numpy as np

from clustering_pipeline.errors import StageError

SEED, LARGEST, COMPONENTS = 5, 3_000, 50


def project(vectors: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Return `nodes` (int64, at most `LARGEST`) and their coordinates (float64, n × 2) by "pca", "tsne" or "umap" after PCA.

    Raises StageError when UMAP is asked for and umap-learn is not installed.
    """
    nodes: np.ndarray = np.arange(len(vectors))
    if len(nodes) > LARGEST:
        nodes = np.sort(np.random.default_rng(SEED).choice(nodes, LARGEST, replace=False))
    chosen = vectors[nodes].astype(np.float64)
    if len(nodes) < 5 or method == "pca":
        return nodes, _principal_components(chosen, 2)
    reduced = _principal_components(chosen, COMPONENTS)
    return nodes, _tsne(reduced) if method == "tsne" else _umap(reduced)


def _principal_components(vectors: np.ndarray, count: int) -> np.ndarray:
    """Return the coordinates (n × count) along the axes of greatest variance, each axis turned so that its largest part is positive."""
    centred = vectors - vectors.mean(axis=0) if len(vectors) else vectors
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:count]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]) if len(axes) else np.empty(0)
    placed = centred @ (axes * signs[:, None]).T
    return np.pad(placed, ((0, 0), (0, max(0, min(2, count) - placed.shape[1]))))


def _tsne(reduced: np.ndarray) -> np.ndarray:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(reduced) - 1) / 3)
    placed: np.ndarray = TSNE(2, init="pca", perplexity=perplexity, random_state=SEED).fit_transform(reduced)
    return placed.astype(float)


def _umap(reduced: np.ndarray) -> np.ndarray:
    try:
        import umap
    except ImportError as error:
        raise StageError(
            "clusters.projection is umap, but umap-learn is not installed. Install it, or set clusters.projection to tsne."
        ) from error
    placed: np.ndarray = umap.UMAP(n_components=2, random_state=SEED).fit_transform(reduced)
    return placed.astype(float)
