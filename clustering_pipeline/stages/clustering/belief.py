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
# Members that agree best with another are its near ones. Of a large cluster most pairs are never
# compared, which says nothing against it.
NEAR = 5
# Features of membership and which way the probability goes with each.
DIRECTIONS = {"best": 1, "second": 1, "near": 1, "mean": 1, "weakest": 1, "margin": 1}


@lru_cache(maxsize=1)
def membership_model() -> EvidenceModel:
    """Return the model that comes with the package."""
    return load_model(Path(__file__).with_name("membership.json"))


def membership_evidence(labels: NDArray[np.int64], odds: Edges) -> dict[str, NDArray[np.float64]]:
    """Return features of each node's place in its cluster (float64, n), NaN for nodes that are
    alone.

    `odds`: pairs whose weights are log-odds of one product. `best`: the greatest to another member.
    `second`: the next, NaN in a cluster of two. `near`: the mean over the five greatest. `mean`:
    over all members that it was compared with. `weakest`: the least `near` in the cluster.
    `margin`: `best` less the greatest to a node outside.
    """
    size = len(labels)
    ends = np.concatenate([odds.rows, odds.columns]), np.concatenate([odds.columns, odds.rows])
    weights = np.tile(np.clip(odds.weights, LOWEST, HIGHEST), 2)
    within = (labels[ends[0]] == labels[ends[1]]) & (labels[ends[0]] != NOISE)
    grouped = np.where(labels == NOISE, int(labels.max(initial=-1)) + 1 + np.arange(size), labels)
    others = np.bincount(grouped)[grouped] - 1
    nodes, weights_within, places = _greatest_first(ends[0][within], weights[within])
    outside, weights_outside, places_outside = _greatest_first(ends[0][~within], weights[~within])
    best = _at(size, nodes, weights_within, places == 0)
    near = _mean(size, nodes, weights_within, places < NEAR, np.minimum(others, NEAR))
    compared = np.bincount(nodes, minlength=size)
    least = np.full(int(grouped.max(initial=-1)) + 1, np.inf)
    np.minimum.at(least, grouped, np.nan_to_num(near, nan=np.inf))
    features = {
        "best": best,
        "second": np.where(others < 2, np.nan, _at(size, nodes, weights_within, places == 1)),
        "near": near,
        "mean": _mean(size, nodes, weights_within, places >= 0, compared),
        "weakest": least[grouped],
        "margin": best - _at(size, outside, weights_outside, places_outside == 0),
    }
    return {name: np.where(others == 0, np.nan, values) for name, values in features.items()}


def belief(labels: NDArray[np.int64], odds: Edges, model: EvidenceModel) -> NDArray[np.float64]:
    """Return the probability that each node belongs to its cluster (float64, n); 1 for nodes that
    are alone.
    """
    features = membership_evidence(labels, odds)
    probabilities = probability_of(model.log_odds(features, len(labels)))
    return np.where(np.isfinite(features["best"]), probabilities, 1.0)


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


def _greatest_first(
    nodes: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Return nodes and weights sorted by node, the greatest weight first, and the place of each
    among those of its node.
    """
    order = np.lexsort((-weights, nodes))
    nodes, weights = nodes[order], weights[order]
    first = np.searchsorted(nodes, nodes, side="left")
    return nodes, weights, np.arange(len(nodes)) - first


def _at(
    size: int,
    nodes: NDArray[np.int64],
    weights: NDArray[np.float64],
    chosen: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the chosen weight of each node, float64 (n,), ABSENT where there is none."""
    values = np.full(size, ABSENT)
    values[nodes[chosen]] = weights[chosen]
    return values


def _mean(
    size: int,
    nodes: NDArray[np.int64],
    weights: NDArray[np.float64],
    chosen: NDArray[np.bool_],
    count: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the mean of the chosen weights of each node and of ABSENT for what lacks to `count`,
    float64 (n,), NaN where that is 0.
    """
    total = np.bincount(nodes[chosen], weights[chosen], minlength=size)
    lacking = count - np.bincount(nodes[chosen], minlength=size)
    mean = np.full(size, np.nan)
    np.divide(total + ABSENT * lacking, count, out=mean, where=count > 0)
    return mean
