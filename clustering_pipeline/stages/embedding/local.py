"""The embedded encoder: aggregated local features and colour, with nothing to download; and the
base of encoders that are done with a batch when they are handed it.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from io import BytesIO
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.hardware import Precision
from clustering_pipeline.core.progress import Facts
from clustering_pipeline.models import Pending
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.features import LocalFeatures, unit_descriptors

# From inputs (RGB arrays, or pairs of local features and colour) to one row each.
Preparation = Callable[[Sequence[Any]], NDArray[Any]]


class EagerEncoder(ABC):
    """What an encoder without a device of its own says of batches and memory."""

    rows: ClassVar[int | None] = None
    ahead: ClassVar[int] = 0

    def precision(self, _context: StageContext) -> Precision:
        """Return "auto": all is computed as it is written."""
        return "auto"

    @abstractmethod
    def encode(self, prepared: NDArray[Any], /) -> NDArray[np.float32]:
        """Return a float32 (n, dimension) row per prepared input."""

    def begin(self, prepared: Sequence[NDArray[Any]]) -> Pending:
        """Encode, and return what hands the rows over."""
        vectors = self.encode(np.stack(prepared))
        return lambda: vectors

    @abstractmethod
    def release(self) -> None:
        """Give the memory of the weights back."""


Floats = NDArray[np.float32]
COLOUR_SHARE = 0.6

_DATA = "local_vocabulary.npz"


@dataclass(frozen=True)
class Vocabulary:
    """What the `local` encoder has learnt.

    Attributes:
        words: float32 (words, 128) centres of RootSIFT descriptors.
        mean: float32 (words · 128,) mean VLAD.
        projection: float32 (dimension, words · 128) principal directions of VLAD, not whitened.
        colour_projection: float32 (colour dimension, 576) principal directions of the colour
            histogram.
    """

    words: Floats
    mean: Floats
    projection: Floats
    colour_projection: Floats

    @property
    def digest(self) -> str:
        """sha256 in hexadecimal of all that the vocabulary holds."""
        arrays = (self.words, self.mean, self.projection, self.colour_projection)
        return hashlib.sha256(
            b"".join(np.ascontiguousarray(array, np.float32).tobytes() for array in arrays)
        ).hexdigest()


@lru_cache(maxsize=1)
def shipped_vocabulary() -> Vocabulary:
    """Return the vocabulary that is part of the package."""
    content = files("clustering_pipeline.stages.embedding").joinpath(_DATA).read_bytes()
    return read_vocabulary(content)


def read_vocabulary(content: bytes) -> Vocabulary:
    """Return the vocabulary that `write_vocabulary` wrote."""
    with np.load(BytesIO(content), allow_pickle=False) as data:
        words = data["words"].astype(np.float32)
        return Vocabulary(
            words=words,
            mean=data["mean"].astype(np.float32),
            projection=_from_half_bytes(data["projection"]) * data["projection_scale"][:, None],
            colour_projection=_from_half_bytes(data["colour_projection"])
            * data["colour_projection_scale"][:, None],
        )


def write_vocabulary(vocabulary: Vocabulary) -> bytes:
    """Return the .npz bytes of a vocabulary: half precision words, projections of 15 levels with
    one scale per row.
    """
    projection, projection_scale = _to_half_bytes(vocabulary.projection)
    colour_projection, colour_projection_scale = _to_half_bytes(vocabulary.colour_projection)
    buffer = BytesIO()
    np.savez_compressed(
        buffer,
        words=vocabulary.words.astype(np.float16),
        mean=vocabulary.mean.astype(np.float16),
        projection=projection,
        projection_scale=projection_scale,
        colour_projection=colour_projection,
        colour_projection_scale=colour_projection_scale,
    )
    return buffer.getvalue()


def vlad(descriptors: Floats, words: Floats, weights: Floats | None = None) -> Floats:
    """Return the vector of locally aggregated descriptors (Jégou et al. 2010), intra-normalised:
    float32 (words · 128,).

    Each descriptor's difference from its nearest word is summed per word, times its weight where
    `weights`, float32 (n,), are given; each word's sum is scaled to unit length (Arandjelović and
    Zisserman 2013), then the whole vector.

    Example:
        >>> words = np.eye(2, 128, dtype=np.float32)
        >>> descriptors = np.eye(3, 128, dtype=np.float32)
        >>> vlad(descriptors, words).shape
        (256,)
    """
    residuals = np.zeros_like(words)
    if len(descriptors):
        nearest = (descriptors @ words.T - 0.5 * np.square(words).sum(axis=1)).argmax(axis=1)
        differences = descriptors - words[nearest]
        np.add.at(
            residuals, nearest, differences if weights is None else differences * weights[:, None]
        )
    residuals /= np.maximum(np.linalg.norm(residuals, axis=1, keepdims=True), 1e-12)
    return unit(residuals.ravel())


def unit(vector: Floats) -> Floats:
    """Return the vector scaled to unit length; zeros stay zeros."""
    scaled: Floats = (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
    return scaled


def _to_half_bytes(matrix: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """Return the matrix (rows, even columns) as -7 to 7, two to a byte, and the value of one level
    per row.

    Levels end at three standard deviations: on the synthetic pictures the projected vectors keep
    their neighbours.
    """
    scale = np.maximum(3 * matrix.std(axis=1), 1e-12) / 7
    levels = (np.clip(np.rint(matrix / scale[:, None]), -7, 7) + 8).astype(np.uint8)
    return levels[:, ::2] << 4 | levels[:, 1::2], scale.astype(np.float32)


def _from_half_bytes(packed: NDArray[np.uint8]) -> Floats:
    levels = np.stack([packed >> 4, packed & 15], axis=2).reshape(len(packed), -1)
    return levels.astype(np.float32) - 8


@dataclass(frozen=True)
class LocalPreparation:
    """VLAD over the words, projected, beside the projected colour histogram; the shipped words when
    none are given.

    Keypoints count by their centrality, so that photographs of one product are neighbours rather
    than those of one shelf.
    """

    colour_share: float
    vocabulary: Vocabulary | None = None

    def __call__(self, inputs: Sequence[tuple[LocalFeatures, Floats]]) -> Floats:
        """Return a float32 row per pair of local features and colour histogram."""
        learnt = self.vocabulary or shipped_vocabulary()
        return np.array(
            [self._vector(features, colour, learnt) for features, colour in inputs], np.float32
        )

    def _vector(self, features: LocalFeatures, colour: Floats, learnt: Vocabulary) -> Floats:
        aggregated = vlad(unit_descriptors(features.descriptors), learnt.words, features.centrality)
        # A product without any keypoint has no print to compare; its colour speaks alone.
        has_features = float(len(features) > 0)
        print_part = unit(learnt.projection @ (aggregated - learnt.mean)) * has_features
        colour_part = unit(learnt.colour_projection @ colour) * np.sqrt(self.colour_share)
        return unit(np.concatenate([print_part, colour_part]))


class LocalEncoder(EagerEncoder):
    """Print and colour in one vector.

    The cosine of two vectors is (cosine of print + `colour_share` · cosine of colour) / (1 +
    `colour_share`).
    """

    reads: ClassVar[Literal["pixels", "views", "local_features"]] = "local_features"

    def __init__(self, settings: EmbeddingSettings, vocabulary: Vocabulary | None = None) -> None:
        """`vocabulary`: the shipped one by default."""
        self._vocabulary = vocabulary
        self._colour_share = (
            COLOUR_SHARE if settings.colour_share is None else settings.colour_share
        )

    def identity(self, _context: StageContext) -> str:
        """Return the digest of the vocabulary."""
        return self._learnt.digest

    def facts(self, _context: StageContext) -> Facts:
        """Return the vector's length."""
        return {"dimension": len(self._learnt.projection) + len(self._learnt.colour_projection)}

    def preparation(self, _context: StageContext) -> LocalPreparation:
        """Return what does all of the work: the vectors themselves are made by the workers."""
        return LocalPreparation(self._colour_share, self._vocabulary)

    def load(self, context: StageContext) -> None:
        """Nothing to load: the vocabulary is part of the package."""

    def release(self) -> None:
        """Nothing to give back: the vocabulary is part of the package."""

    def encode(self, prepared: NDArray[Any]) -> Floats:
        """Return the prepared vectors as they are."""
        return prepared

    @property
    def _learnt(self) -> Vocabulary:
        return self._vocabulary or shipped_vocabulary()
