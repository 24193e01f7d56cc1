"""Reduces the vectors of a category to fewer dimensions; fitted on the category, so computed again
with every change of it.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import FileTree, layout

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Reduction:
    """How a vector of the encoder becomes one of the category: float32 `middle` (d), taken off, and
    `axes` (d, k) that it is turned into, before it is brought to unit length.
    """

    middle: Vectors
    axes: Vectors

    def __call__(self, vectors: Vectors) -> Vectors:
        """Return reduced unit vectors, float32 (n, k), of unit vectors (n, d)."""
        return _unit((vectors - self.middle) @ self.axes)

    def to_bytes(self) -> bytes:
        """Return the reduction as an .npz file."""
        buffer = io.BytesIO()
        np.savez(buffer, middle=self.middle, axes=self.axes)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Reduction":
        """Return the reduction of an .npz file that `to_bytes` made."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return cls(arrays["middle"], arrays["axes"])


def reduce_vectors(
    encoded: pd.DataFrame, clean_images: pd.DataFrame, settings: EmbeddingSettings
) -> tuple[pd.DataFrame, Reduction | None]:
    """Return `encoded` (crop_sha256, vector) with reduced unit vectors, as `embeddings.reduce`
    says, and how other vectors are reduced like them; None where nothing was reduced.

    Raises InputError when LDA's labels cannot be read, or are of fewer than two groups.
    """
    if settings.reduce == "none" or len(encoded) < 2:
        return encoded, None
    vectors = np.stack(encoded["vector"].to_list()).astype(np.float32)
    reduced, reduction = (
        _pca(vectors, settings)
        if settings.reduce == "pca"
        else _lda(vectors, encoded, clean_images, settings)
    )
    return encoded.assign(vector=list(_unit(reduced))), reduction


def keep_reduction(
    reduction: Reduction | None, settings: EmbeddingSettings, context: StageContext
) -> None:
    """Keep how the category's vectors of these settings are reduced, for pictures that are searched
    with.
    """
    if reduction is not None:
        FileTree(str(context.state)).write(_path(settings, context), reduction.to_bytes())


def read_reduction(settings: EmbeddingSettings, context: StageContext) -> Reduction | None:
    """Return how the category's vectors of these settings were last reduced, None where they were
    not.
    """
    files, path = FileTree(str(context.state)), _path(settings, context)
    if settings.reduce == "none" or not files.exists(path):
        return None
    return Reduction.from_bytes(files.read(path))


def _path(settings: EmbeddingSettings, context: StageContext) -> str:
    return f"{layout.REDUCTIONS}/{context.category}/{settings.fingerprint()[:16]}.npz"


def _unit(vectors: NDArray[np.floating[Any]]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit


def _pca(vectors: Vectors, settings: EmbeddingSettings) -> tuple[Vectors, Reduction]:
    from sklearn.decomposition import PCA

    components = min(settings.reduced_dimension, *vectors.shape)
    model = PCA(components, whiten=settings.whiten, svd_solver="full")
    reduced: Vectors = model.fit_transform(vectors)
    # Of whitened axes without any variance nothing is left.
    spread = np.sqrt(np.maximum(model.explained_variance_, np.finfo(np.float32).tiny))
    axes = model.components_ / spread[:, None] if settings.whiten else model.components_
    return reduced, _reduction(model.mean_, axes.T)


def _lda(
    vectors: Vectors, encoded: pd.DataFrame, clean_images: pd.DataFrame, settings: EmbeddingSettings
) -> tuple[Vectors, Reduction]:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    groups = _groups(encoded, clean_images, settings.reduce_labels)
    is_labelled = groups.notna().to_numpy()
    distinct = groups[is_labelled].nunique()
    if distinct < 2:
        raise InputError(
            f"embeddings.reduce is lda, and {settings.reduce_labels} names {distinct} groups among "
            f"the {len(encoded)} crops; two at least are needed. Add labels, or set "
            "embeddings.reduce to pca."
        )
    components = min(settings.reduced_dimension, distinct - 1, vectors.shape[1])
    model = LinearDiscriminantAnalysis(n_components=components).fit(
        vectors[is_labelled], groups[is_labelled]
    )
    reduced: Vectors = model.transform(vectors)
    return reduced, _reduction(model.xbar_, model.scalings_[:, : reduced.shape[1]])


def _reduction(middle: NDArray[Any], axes: NDArray[Any]) -> Reduction:
    return Reduction(middle.astype(np.float32), np.ascontiguousarray(axes, np.float32))


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
