"""How near two crops are for this encoder and this category: ranks and distances in units of each crop's own unrelated pictures.

A cosine of .8 is near for one encoder and nothing for another (CLIP's unrelated pictures have .78), and near in a sparse corner of a
category and nothing in a dense one. Ranks, and cosines measured against the crop's own cosines to others, carry over.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.stages.matching.geometry import Floats

REFERENCES = 1024
NEAREST = 10
_BLOCK = 2048
_UPPER = 0.84
# So many of the unrelated lie within one spread of the median that a smaller one is noise of the encoder's last bits.
_LEAST_SPREAD = 1e-4


@dataclass(frozen=True)
class Surroundings:
    """What a crop's cosines to others are, a row per crop.

    `median` and `spread` (from the median to the 84th percentile) are of its cosines to up to 1,024 crops of the category, `nearest`
    is the mean of its 10 largest of all. True partners are too few to move the median and the percentile.
    """

    median: Floats
    spread: Floats
    nearest: Floats


def measure_surroundings(vectors: Floats) -> Surroundings:
    """Return the surroundings of every row of `vectors`, unit float32 rows in the category's fixed order."""
    count = len(vectors)
    references = vectors[np.linspace(0, count - 1, min(count, REFERENCES)).round().astype(np.int64)] if count else vectors
    parts = [_measure(vectors, references, start) for start in range(0, count, _BLOCK)]
    median, spread, nearest = (np.concatenate(column) for column in zip(*parts, strict=True)) if parts else [np.zeros(0)] * 3
    return Surroundings(median.astype(np.float32), spread.astype(np.float32), nearest.astype(np.float32))


def standing_out(pairs: NDArray[np.int64], cosines: Floats, surroundings: Surroundings) -> Floats:
    """Return by how many spreads each pair's cosine exceeds the median cosine of both: float32 (m,), the mean of both views.

    For normally distributed cosines of unrelated crops this is a z score, whatever the encoder.
    """
    first, second = pairs.T
    scores = [(cosines - surroundings.median[row]) / surroundings.spread[row] for row in (first, second)]
    return np.asarray((scores[0] + scores[1]) / 2, np.float32)


def above_nearest(pairs: NDArray[np.int64], cosines: Floats, surroundings: Surroundings) -> Floats:
    """Return by how many spreads each pair's cosine exceeds the mean of both ends' 10 nearest: float32 (m,).

    Cross-domain similarity local scaling (Conneau et al. 2018) in each crop's own unit: above 0 for pairs that are nearer than
    their neighbourhoods.
    """
    first, second = pairs.T
    scores = [(cosines - surroundings.nearest[row]) / surroundings.spread[row] for row in (first, second)]
    return np.asarray((scores[0] + scores[1]) / 2, np.float32)


def pair_ranks(pairs: NDArray[np.int64], vectors: Floats) -> NDArray[np.int64]:
    """Return which neighbour each is of the other, from 1: int64 (m, 2), the second among the first's, the first among the second's.

    Equal cosines share the better rank.
    """
    ranks = np.zeros((len(pairs), 2), np.int64)
    for end in (0, 1):
        rows = pairs[:, end]
        for start in range(0, len(vectors), _BLOCK):
            inside = np.flatnonzero((rows >= start) & (rows < start + _BLOCK))
            if not len(inside):
                continue
            cosines = _without_self(vectors[start : start + _BLOCK] @ vectors.T, start)
            ordered = np.sort(cosines, axis=1)
            own = cosines[rows[inside] - start, pairs[inside, 1 - end]]
            for row in np.unique(rows[inside]):
                of_row = inside[rows[inside] == row]
                position = np.searchsorted(ordered[row - start], own[rows[inside] == row], side="right")
                ranks[of_row, end] = ordered.shape[1] - position + 1
    return ranks


def _measure(vectors: Floats, references: Floats, start: int) -> tuple[Floats, Floats, Floats]:
    block = vectors[start : start + _BLOCK]
    to_references = block @ references.T
    median, upper = np.quantile(to_references, [0.5, _UPPER], axis=1)
    cosines = _without_self(block @ vectors.T, start)
    most = min(NEAREST, max(1, len(vectors) - 1))
    largest = np.partition(cosines, -most, axis=1)[:, -most:]
    return median, np.maximum(upper - median, _LEAST_SPREAD), np.where(np.isfinite(largest), largest, 0).mean(axis=1)


def _without_self(cosines: Floats, start: int) -> Floats:
    rows = np.arange(len(cosines))
    cosines[rows, rows + start] = -np.inf
    return cosines
