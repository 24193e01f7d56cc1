"""Limits for cosines in units of the category's own vectors: how often chance alone makes a pair so
near, and from which radius on one component swallows all others.

A cosine of 0.9 is nothing for CLIP, whose unrelated products lie at 0.78, and much for local
features. Both limits carry over from one encoder to the next.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from clustering_pipeline.core.graph import DisjointSets, spanning_links
from clustering_pipeline.core.vectors import nearest_neighbours

Distances = NDArray[np.float64]

# Joins at small radii are among so many neighbours of each crop.
NEIGHBOURS = 16
# A component is a giant that holds more than this share of all crops, and more than this many, and
# this much more than the next one. Before the transition the largest components grow alike, from it
# on one of them takes in the others (Stauffer and Aharony 1994, chapter 2).
SHARE, FEWEST, AHEAD = 0.02, 10, 1.5
# In fewer crops than four of that size, a quarter of them.
PART = 4
SEED, SAMPLED_PAIRS = 77, 500_000
# Shares of random pairs, most of which show two products, whose cosines the null is fitted to.
LEVELS = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02)
FINE = 1e-6


@dataclass(frozen=True)
class Growth:
    """How components grow with the radius: `radii` (float64, m, ascending) at which two of them
    join, and the crops in the largest and in the second (int64, m) from there on.
    """

    radii: Distances
    largest: NDArray[np.int64]
    second: NDArray[np.int64]
    crops: int

    def before_giant(self) -> tuple[float, int]:
        """Return the radius half-way between the last join before a giant and the one that makes
        it, and the crops in the largest component at that radius.
        """
        if len(self.radii) == 0:
            return FINE, 1
        fewest = max(min(FEWEST, self.crops // PART), 2)
        giant = (self.largest > max(fewest, SHARE * self.crops)) & (
            self.largest > AHEAD * self.second
        )
        end = int(np.argmax(giant)) if giant.any() else len(self.radii) - 1
        if end == 0:
            return max(float(self.radii[0]) / 2, FINE), 1
        radius = float(self.radii[end - 1] + self.radii[end]) / 2
        return max(radius, FINE), int(self.largest[end - 1])


def component_growth(vectors: NDArray[np.float32], reach: Distances, block_rows: int) -> Growth:
    """Return how the components of unit vectors (n, d) grow with the cosine distance.

    `reach` (n): the distance from which on a crop counts at all, zeros where it always does; with
    DBSCAN's core distances the components are those of its cores (mutual reachability, Campello et
    al. 2013).
    """
    rows, columns, cosines = nearest_neighbours(vectors, NEIGHBOURS, block_rows)
    if len(rows) == 0:
        empty = np.zeros(0, np.int64)
        return Growth(np.zeros(0), empty, empty, len(vectors))
    distances = np.maximum(1 - cosines.astype(float), 0)
    distances = np.maximum(distances, np.maximum(reach[rows], reach[columns]))
    order = np.argsort(distances, kind="stable")
    joins = order[spanning_links(len(vectors), rows[order], columns[order])]
    largest, second = _two_largest(rows[joins], columns[joins])
    return Growth(distances[joins], largest, second, len(vectors))


def _two_largest(
    rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sizes of the two largest components after each of the joins."""
    sets, sizes, counts = DisjointSets[int](), dict[int, int](), dict[int, int]()
    largest, second, biggest = [], [], 1
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        parts = [sets.find(row), sets.find(column)]
        joined = 0
        for part in parts:
            size = sizes.pop(part, 1)
            counts[size] = counts.get(size, 0) - (size > 1)
            joined += size
        sets.join(row, column)
        sizes[sets.find(row)] = joined
        counts[joined] = counts.get(joined, 0) + 1
        biggest = max(biggest, joined)
        largest.append(biggest)
        second.append(_second(counts, biggest))
    return np.array(largest, np.int64), np.array(second, np.int64)


def _second(counts: dict[int, int], largest: int) -> int:
    if counts[largest] > 1:
        return largest
    for size in [size for size, count in counts.items() if count <= 0]:
        del counts[size]
    return max((size for size in counts if size != largest), default=1)


@dataclass(frozen=True)
class Null:
    """How near random pairs of a category are: the normal deviate of the share that is nearer than
    a cosine, a rising parabola of the cosine through the bulk of them, since the very nearest pairs
    are of one product. `coefficients` highest power first.
    """

    coefficients: tuple[float, float, float]
    crops: int

    def links_per_crop(self, radius: float) -> float:
        """Return how many pairs within a cosine distance chance alone makes, per crop."""
        bent, slope, level = self.coefficients
        # Left of its lowest point the parabola rises again, where all pairs are as near anyway.
        cosine = max(1 - radius, -slope / (2 * bent)) if bent > 0 else 1 - radius
        share = ndtr(-(bent * cosine**2 + slope * cosine + level))
        return float(share * (self.crops - 1) / 2)

    def radius(self, links_per_crop: float) -> float:
        """Return the greatest cosine distance at which chance makes at most so many links per crop,
        by bisection.
        """
        low, high = FINE, 2.0
        if self.links_per_crop(low) > links_per_crop:
            return low
        while high - low > FINE:
            middle = (low + high) / 2
            low, high = (
                (middle, high) if self.links_per_crop(middle) <= links_per_crop else (low, middle)
            )
        return low


def fit_null(vectors: NDArray[np.float32]) -> Null:
    """Return the null of unit vectors (n, d), of all their pairs or of half a million drawn ones;
    one that expects no link of fewer than three vectors.
    """
    count = len(vectors)
    if count < 3:
        return Null((0.0, 0.0, np.inf), count)
    if count * (count - 1) // 2 <= SAMPLED_PAIRS:
        first, second = np.triu_indices(count, 1)
    else:
        random = np.random.default_rng(SEED)
        first = random.integers(0, count, SAMPLED_PAIRS)
        second = (first + random.integers(1, count, SAMPLED_PAIRS)) % count
    cosines = np.einsum("ij,ij->i", vectors[first], vectors[second], dtype=np.float64)
    return Null(_rising_parabola(np.quantile(cosines, 1 - np.array(LEVELS))), count)


def _rising_parabola(cosines: Distances) -> tuple[float, float, float]:
    """Return the parabola through the deviates of `LEVELS` at their cosines, a line where it would
    fall again before a cosine of 1.
    """
    deviates = -ndtri(LEVELS)
    if np.ptp(cosines) < FINE:
        # All pairs are alike, as copies are: none is nearer than chance makes them.
        return 0.0, 0.0, 0.0
    bent, slope, level = np.polyfit(cosines, deviates, 2)
    if slope + 2 * bent <= 0 or slope + 2 * bent * cosines[0] <= 0:
        (slope, level), bent = np.polyfit(cosines, deviates, 1), 0.0
    return float(bent), float(slope), float(level)
