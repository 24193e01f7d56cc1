"""One vector out of many descriptors: VLAD, reduced by a fixed projection, beside reduced colour."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_DATA = "local_vocabulary.npz"


@dataclass(frozen=True)
class Vocabulary:
    """What the `local` encoder has learnt.

    Attributes:
        words: float32 (words, 128) centres of RootSIFT descriptors.
        mean: float32 (words · 128,) mean VLAD.
        projection: float32 (dimension, words · 128) principal directions of VLAD, not whitened.
        colour_projection: float32 (colour dimension, 576) principal directions of the colour histogram.
    """

    words: Floats
    mean: Floats
    projection: Floats
    colour_projection: Floats

    @property
    def digest(self) -> str:
        """sha256 in hexadecimal of all that the vocabulary holds."""
        arrays = (self.words, self.mean, self.projection, self.colour_projection)
        return hashlib.sha256(b"".join(np.ascontiguousarray(array, np.float32).tobytes() for array in arrays)).hexdigest()


@lru_cache(maxsize=1)
def shipped_vocabulary() -> Vocabulary:
    """Return the vocabulary that is part of the package."""
    content = files("clustering_pipeline.embedding").joinpath(_DATA).read_bytes()
    return read_vocabulary(content)


def read_vocabulary(content: bytes) -> Vocabulary:
    """Return the vocabulary that `write_vocabulary` wrote."""
    with np.load(BytesIO(content), allow_pickle=False) as data:
        words = data["words"].astype(np.float32)
        return Vocabulary(
            words=words,
            mean=data["mean"].astype(np.float32),
            projection=_from_half_bytes(data["projection"]) * data["projection_scale"][:, None],
            colour_projection=_from_half_bytes(data["colour_projection"]) * data["colour_projection_scale"][:, None],
        )


def write_vocabulary(vocabulary: Vocabulary) -> bytes:
    """Return the .npz bytes of a vocabulary: half precision words, projections of 15 levels with one scale per row."""
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
    """Return the vector of locally aggregated descriptors (Jégou et al. 2010), intra-normalised: float32 (words · 128,).

    Each descriptor's difference from its nearest word is summed per word, times its weight where `weights`, float32 (n,), are
    given; each word's sum is scaled to unit length (Arandjelović and Zisserman 2013), then the whole vector.
    """
    residuals = np.zeros_like(words)
    if len(descriptors):
        nearest = (descriptors @ words.T - 0.5 * np.square(words).sum(axis=1)).argmax(axis=1)
        differences = descriptors - words[nearest]
        np.add.at(residuals, nearest, differences if weights is None else differences * weights[:, None])
    residuals /= np.maximum(np.linalg.norm(residuals, axis=1, keepdims=True), 1e-12)
    return unit(residuals.ravel())


def unit(vector: Floats) -> Floats:
    """Return the vector scaled to unit length; zeros stay zeros."""
    scaled: Floats = (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
    return scaled


def _to_half_bytes(matrix: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """Return the matrix (rows, even columns) as -7 to 7, two to a byte, and the value of one level per row.

    Levels end at three standard deviations: on the synthetic pictures the projected vectors keep their neighbours.
    """
    scale = np.maximum(3 * matrix.std(axis=1), 1e-12) / 7
    levels = (np.clip(np.rint(matrix / scale[:, None]), -7, 7) + 8).astype(np.uint8)
    return levels[:, ::2] << 4 | levels[:, 1::2], scale.astype(np.float32)


def _from_half_bytes(packed: NDArray[np.uint8]) -> Floats:
    levels = np.stack([packed >> 4, packed & 15], axis=2).reshape(len(packed), -1)
    return levels.astype(np.float32) - 8
