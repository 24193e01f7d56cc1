"""How likely each listing belongs to its cluster: a calibrated probability from the log-odds of its
pairs, and how far it errs by the answers of people.

What is estimated is the share of the other members of its cluster that show the same product
(BCubed precision without the item itself), so that the mean of all confidences is what a person who
checks the clusters will find.

Answers give one shift of all logits, estimated by Bayes: p' = 1 / (1 + exp(-(logit(p) + shift))),
so that the order of confidences stays (Platt 1999 with a slope of 1; the prior of the shift and the
share of wrong answers are those by which precision and recall are estimated). A slope of its own
was not better at the number of answers that people give. Where the confidences of 664 sellers'
listings were made wrong by a shift of -1.5, 100 answers take their expected calibration error from
0.30 to 0.08, by +1.5 from 0.11 to 0.08, and leave it at 0.07 where they were right.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.core.corrections import Different, RecordedCorrection, Same, acts_of
from clustering_pipeline.core.evidence_model import EvidenceModel, load_model, probability_of
from clustering_pipeline.evaluation import SHIFT, WRONG
from clustering_pipeline.stages.clustering.corrections import (
    ListingsById,
    links_between,
    resolve_statements,
)
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


# Fewer answers about pairs that the grouping puts together change nothing.
FEWEST_ANSWERS = 20
# So wide that answers which contradict the surest confidences are not cut off.
_SHIFTS = np.linspace(-12.0, 12.0, 481)
# No confidence is taken to be surer than this.
LEAST = 1e-4


def answered_pairs(
    corrections: Iterable[RecordedCorrection], listings_of: ListingsById, table: pd.DataFrame
) -> list[tuple[int, int, bool]]:
    """Return the pairs of rows that the grouping of `table` puts together and that people were
    asked about, and whether they show one product.

    `table`: `label` and `node` of each row, before anything that people said is imposed. Only a
    statement that was made by itself answers a question. One of many, as when pictures are split
    off, is made because the grouping is wrong there, and would say that it is wrong everywhere. Of
    ids that stand on several rows an answer counts once, by the first pair that is together.
    """
    answers = [
        act[0]
        for act in acts_of(corrections)
        if len(act) == 1 and isinstance(act[0].statement, Same | Different)
    ]
    resolved = resolve_statements(answers, listings_of)
    held = {(pair, True) for pair in resolved.same} | {(pair, False) for pair in resolved.different}
    labels, nodes = table["label"].to_numpy(), table["node"].to_numpy()
    found: list[tuple[int, int, bool]] = []
    for answer in answers:
        assert isinstance(answer.statement, Same | Different)
        is_same = isinstance(answer.statement, Same)
        pairs = links_between(answer.statement.a, answer.statement.b, listings_of)
        together = (
            (first, second, is_same)
            for first, second in pairs
            if ((first, second), is_same) in held
            and labels[first] == labels[second] != NOISE
            and nodes[first] != nodes[second]
        )
        found.extend(islice(together, 1))
    return found


def confidence_shift(confidence: Sequence[float], same: Sequence[bool]) -> float:
    """Return what is to be added to the logit of every confidence: the mean of the posterior given
    the answers, 0 for fewer than `FEWEST_ANSWERS`.

    `confidence`: of each answered pair how likely a member of their cluster shows the product of
    another one, the mean of both (0 to 1); `same`: what was answered. That a few answers are wrong
    is allowed for.

    Example:
        >>> confidence_shift([0.5] * 10, [True] * 10)
        0.0
        >>> round(confidence_shift([0.5] * 40, [True] * 36 + [False] * 4), 1)
        1.7
    """
    if len(same) < FEWEST_ANSWERS:
        return 0.0
    rates = probability_of(_logit(np.asarray(confidence, np.float64)) + _SHIFTS[:, None])
    said = rates * (1 - WRONG) + (1 - rates) * WRONG
    likelihood = np.where(np.asarray(same, bool), np.log(said), np.log1p(-said)).sum(axis=1)
    posterior = likelihood - 0.5 * (_SHIFTS / SHIFT) ** 2
    weights = np.exp(posterior - posterior.max())
    return float(weights @ _SHIFTS / weights.sum())


def shifted(confidence: pd.Series, shift: float) -> pd.Series:
    """Return confidences whose logits are larger by `shift`; 0 and 1 are certain and stay.

    Example:
        >>> shifted(pd.Series([0.0, 0.5, 1.0]), np.log(3)).tolist()
        [0.0, 0.75, 1.0]
    """
    if shift == 0:
        return confidence
    uncertain = (confidence > 0) & (confidence < 1)
    values = _logit(confidence.where(uncertain, 0.5).to_numpy(np.float64)) + shift
    return confidence.where(~uncertain, pd.Series(probability_of(values), confidence.index))


def _logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    bounded = np.clip(probability, LEAST, 1 - LEAST)
    odds: NDArray[np.float64] = np.log(bounded) - np.log1p(-bounded)
    return odds
