"""Reduces the vectors of a category to fewer dimensions; fitted on the category, so computed again
with every change of it.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.settings import EmbeddingSettings

Vectors = NDArray[np.float32]


def reduce_vectors(
    encoded: pd.DataFrame, clean_images: pd.DataFrame, settings: EmbeddingSettings
) -> pd.DataFrame:
    """Return `encoded` (crop_sha256, vector) with reduced unit vectors, as `embeddings.reduce`
    says.

    Raises InputError when LDA's labels cannot be read, or are of fewer than two groups.
    """
    if settings.reduce == "none" or len(encoded) < 2:
        return encoded
    vectors = np.stack(encoded["vector"].to_list()).astype(np.float32)
    reduced = (
        _pca(vectors, settings)
        if settings.reduce == "pca"
        else _lda(vectors, encoded, clean_images, settings)
    )
    lengths = np.linalg.norm(reduced, axis=1, keepdims=True)
    unit = (reduced / np.maximum(lengths, 1e-12)).astype(np.float32)
    return encoded.assign(vector=list(unit))


def _pca(vectors: Vectors, settings: EmbeddingSettings) -> Vectors:
    from sklearn.decomposition import PCA

    components = min(settings.reduced_dimension, *vectors.shape)
    reduced: Vectors = PCA(components, whiten=settings.whiten, svd_solver="full").fit_transform(
        vectors
    )
    return reduced


def _lda(
    vectors: Vectors, encoded: pd.DataFrame, clean_images: pd.DataFrame, settings: EmbeddingSettings
) -> Vectors:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    groups = _groups(encoded, clean_images, settings.reduce_labels)
    known = groups.notna().to_numpy()
    distinct = groups[known].nunique()
    if distinct < 2:
        raise InputError(
            f"embeddings.reduce is lda, and {settings.reduce_labels} names {distinct} groups among "
            f"the {len(encoded)} crops; two at least are needed. Add labels, or set "
            "embeddings.reduce to pca."
        )
    components = min(settings.reduced_dimension, distinct - 1, vectors.shape[1])
    model = LinearDiscriminantAnalysis(n_components=components).fit(vectors[known], groups[known])
    reduced: Vectors = model.transform(vectors)
    return reduced


def _groups(
    encoded: pd.DataFrame, clean_images: pd.DataFrame, path: str | None
) -> "pd.Series[str]":
    """Return the gold group of every encoded crop, missing where the file says none."""
    # The settings refuse lda without labels.
    assert path is not None
    try:
        labels = pd.read_csv(Path(path), dtype=str)
    except (OSError, ValueError) as error:
        raise InputError(
            f"embeddings.reduce_labels: {path} cannot be read as CSV: {error}."
        ) from error
    column = next(
        (name for name in ("crop_sha256", "image_sha256") if name in labels.columns), None
    )
    if column is None or "group" not in labels.columns:
        raise InputError(
            f"embeddings.reduce_labels: {path} has the columns {', '.join(labels.columns)}, not "
            f"crop_sha256 or image_sha256 and group."
        )
    by_crop = clean_images.set_index("crop_sha256", drop=False)[column]
    return (
        encoded["crop_sha256"]
        .map(by_crop)
        .map(labels.drop_duplicates(column).set_index(column)["group"])
    )
