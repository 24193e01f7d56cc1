"""How likely each listing belongs to its cluster: a calibrated probability from the log-odds of its
pairs.

What is estimated is the share of the other members of its cluster that show the same product
(BCubed precision without the item itself), so that the mean of all confidences is what a person who
checks the clusters will find.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.evidence_model import EvidenceModel, load_model, probability_of
from clustering_pipeline.stages.clustering.problem import NOISE, Edges

# Log-odds of a pair that was never compared.
ABSENT = -3.0
# Bounds of the log-odds of any pair; membership.json was fitted with them.
LOWEST = -4.0
HIGHEST = 6.0
# Features of membership and which way the probability goes with each.
DIRECTIONS = {"best": 1, "second": 1, "mean": 1, "weakest": 1, "margin": 1}


@lru_cache(maxsize=1)
def membership_model() -> EvidenceModel:
    """Return the model that comes with the package."""
    return load_model(Path(__file__).with_name("membership.json"))


def membership_evidence(labels: NDArray[np.int64], odds: Edges) -> dict[str, NDArray[np.float64]]:
    """Return features of each node's place in its cluster (float64, n), NaN for nodes that are
    alone.

    `odds`: pairs whose weights are log-odds of one product. `best`: the greatest to another member.
    `second`: the next, NaN in a cluster of two. `mean`: over all other members. `weakest`: the mean
    of the cluster's least held member. `margin`: `best` less the greatest to a node outside.
    """
    size = len(labels)
    ends = np.concatenate([odds.rows, odds.columns]), np.concatenate([odds.columns, odds.rows])
    weights = np.tile(np.clip(odds.weights, LOWEST, HIGHEST), 2)
    within = (labels[ends[0]] == labels[ends[1]]) & (labels[ends[0]] != NOISE)
    grouped = np.where(labels == NOISE, int(labels.max(initial=-1)) + 1 + np.arange(size), labels)
    others = np.bincount(grouped)[grouped] - 1
    total, count = (
        np.bincount(ends[0][within], weights[within], minlength=size),
        np.bincount(ends[0][within], minlength=size),
    )
    mean = np.divide(
        total + ABSENT * (others - count), others, out=np.full(size, np.nan), where=others > 0
    )
    best, second = _two_greatest(size, ends[0][within], weights[within])
    outside, _ = _two_greatest(size, ends[0][~within], weights[~within])
    least = np.full(int(grouped.max(initial=-1)) + 1, np.inf)
    np.minimum.at(least, grouped, np.nan_to_num(mean, nan=np.inf))
    features = {
        "best": best,
        "second": second,
        "mean": mean,
        "weakest": least[grouped],
        "margin": best - outside,
    }
    alone = others == 0
    return {
        name: np.where(
            alone | ((name == "second") & (others < 2)), np.nan, values.astype(np.float64)
        )
        for name, values in features.items()
    }


def belief(labels: NDArray[np.int64], odds: Edges, model: EvidenceModel) -> NDArray[np.float64]:
    """Return the probability that each node belongs to its cluster (float64, n); 1 for nodes that
    are alone.
    """
    features = membership_evidence(labels, odds)
    found = probability_of(model.log_odds(features, len(labels)))
    return np.where(np.isfinite(features["best"]), found, 1.0)


def true_share(labels: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of the other members of each node's cluster that have its truth (float64,
    n), NaN for nodes alone.

    Example:
        >>> true_share(np.array([0, 0, 0, 1]), np.array([7, 7, 8, 8])).tolist()
        [0.5, 0.5, 0.0, nan]
    """
    _, cluster = np.unique(labels, return_inverse=True)
    _, both = np.unique(
        np.stack([cluster, np.unique(truth, return_inverse=True)[1]]), axis=1, return_inverse=True
    )
    others = np.bincount(cluster)[cluster] - 1
    same = np.bincount(both.ravel())[both.ravel()] - 1
    share = np.full(len(labels), np.nan)
    np.divide(same, others, out=share, where=(others > 0) & (labels != NOISE))
    return share


def _two_greatest(
    size: int, nodes: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the greatest and the second weight at each node (float64, n), ABSENT where there is
    none.
    """
    order = np.lexsort((-weights, nodes))
    nodes, weights = nodes[order], weights[order]
    first = np.concatenate([[True], nodes[1:] != nodes[:-1]]) if len(nodes) else np.zeros(0, bool)
    second = np.concatenate([[False], first[:-1]]) & ~first if len(nodes) else first
    best, following = np.full(size, ABSENT), np.full(size, ABSENT)
    best[nodes[first]], following[nodes[second]] = weights[first], weights[second]
    return best, following
