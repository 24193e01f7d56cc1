"""One size of the suite `vectors`, in a process of its own: `python -m benchmarks.planted_vectors
COUNT` plants vectors, finds candidates, plants their evidence, groups, and prints one JSON object.

Products come in families of eight whose centres lie near each other, as the sizes and flavours of
one brand do; eight crops show each. The evidence of a pair is drawn: log-odds of mean 3 for
one product, of mean -4 for two, both of spread 2.5: 12 of 100 true pairs are refused, and 5 of 100
others speak for one product.
"""

import json
import resource
import sys
import time

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.vectors import EXACT_UP_TO, nearest
from clustering_pipeline.evaluation import score_clusters
from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stages.clustering import communities
from clustering_pipeline.stages.matching.candidates import (
    friends_of_friends,
    joined_pairs,
    nearest_pairs,
)

VIEWS, FAMILY, DIMENSION = 8, 8, 576
_PRODUCT_SPREAD, _VIEW_SPREAD = 0.8, 1.2
_DRAWN_AT_ONCE = 4096
# Crops whose neighbours are compared with the true ones, and how many of these are sorted at once.
_ASKED, _COMPARED = 500, 25

Floats = NDArray[np.float32]


def main() -> None:
    """Run every step and say what it took."""
    count, settings = int(sys.argv[1]), MatchSettings()
    vectors, truth = plant(count)
    steps: dict[str, float] = {}
    used = time.process_time()

    def done(step: str) -> None:
        nonlocal used
        steps[step], used = time.process_time() - used, time.process_time()

    pairs = nearest_pairs(vectors, settings.neighbours)
    done("neighbours")
    weights = evidence(pairs, truth)
    used = time.process_time()
    friends = friends_of_friends(pairs, np.maximum(weights, 0), count, settings.friends)
    pairs = joined_pairs(pairs, friends, count)
    done("friends")
    weights = evidence(pairs, truth)
    used = time.process_time()
    rows, columns = pairs[weights > 0].T
    keys = np.random.default_rng(3).permutation(count).astype(np.uint64)
    labels = communities(count, rows, columns, weights[weights > 0], keys)
    done("grouping")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        json.dumps(
            {
                "processor": steps,
                "gib": peak,
                "pairs": len(pairs),
                "bcubed": score_clusters(truth.tolist(), labels.tolist())["bcubed_f1"],
                **recalls(vectors, truth, settings.neighbours),
            }
        )
    )


def plant(count: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return unit vectors, float32 (count, 576), and the product of each."""
    truth = np.arange(count) // VIEWS
    vectors = np.empty((count, DIMENSION), np.float32)
    products = int(truth[-1]) + 1
    families = np.random.default_rng(1).standard_normal(
        (-(-products // FAMILY), DIMENSION), dtype=np.float32
    )
    for start in range(0, count, _DRAWN_AT_ONCE):
        random = np.random.default_rng([2, start])
        shown = truth[start : start + _DRAWN_AT_ONCE]
        own, place = np.unique(shown, return_inverse=True)
        centres = families[own // FAMILY] + _PRODUCT_SPREAD * random.standard_normal(
            (len(own), DIMENSION), dtype=np.float32
        )
        drawn = centres[place] + _VIEW_SPREAD * random.standard_normal(
            (len(shown), DIMENSION), dtype=np.float32
        )
        vectors[start : start + _DRAWN_AT_ONCE] = drawn / np.linalg.norm(
            drawn, axis=1, keepdims=True
        )
    return vectors, truth


def evidence(pairs: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return planted log-odds of pairs, float64 (m,); a pair has the same whenever it is asked."""
    seeds = pairs[:, 0].astype(np.uint64) * np.uint64(len(truth)) + pairs[:, 1].astype(np.uint64)
    with np.errstate(over="ignore"):
        mixed = (seeds ^ (seeds >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    # The sum of four uniform numbers is nearly normal.
    parts = (mixed[:, None] >> (np.uint64(16) * np.arange(4, dtype=np.uint64))) & np.uint64(0xFFFF)
    normal = (parts.sum(axis=1) / 65_536 - 2) * np.sqrt(3)
    is_one = truth[pairs[:, 0]] == truth[pairs[:, 1]]
    return np.asarray(np.where(is_one, 3.0, -4.0) + 2.5 * normal)


def recalls(vectors: Floats, truth: NDArray[np.int64], neighbours: int) -> dict[str, float]:
    """Return the share of the nearest, and of those of the same product among them, that the
    search finds for sampled crops.
    """
    count = len(vectors)
    asked = np.sort(np.random.default_rng(4).choice(count, min(_ASKED, count), replace=False))
    exact = np.concatenate(
        [
            np.argsort(-(vectors[some] @ vectors.T), axis=1)[:, : neighbours + 1]
            for some in np.split(asked, range(_COMPARED, len(asked), _COMPARED))
        ]
    )
    given = np.empty((len(asked), neighbours + 1), np.int64)
    for block in nearest(vectors, neighbours + 1):
        inside = (asked >= block.start) & (asked < block.start + len(block.rows))
        given[inside] = block.rows[asked[inside] - block.start]
    shared = (exact[:, :, None] == given[:, None]).any(axis=2)
    other = exact != asked[:, None]
    own = other & (truth[exact] == truth[asked][:, None])
    return {
        "recall": float(shared[other].mean()),
        "recall of own": float(shared[own].mean()),
        "exact": float(count <= EXACT_UP_TO),
    }


if __name__ == "__main__":
    main()
