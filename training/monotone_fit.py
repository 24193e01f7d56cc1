"""Fits an evidence model: ridge-penalised logistic regression on ramps, and boosted trees.

A curve over knots k_0 < … < k_m is v_0 + Σ d_l · clip((x − k_{l−1}) / (k_l − k_{l−1}), 0, 1) with
all d_l ≥ 0 (or ≤ 0): a linear model under bounds, solved by L-BFGS-B (Byrd et al. 1995). The trees
are scikit-learn's histogram gradient boosting under the same signs, taken out of it as numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.ensemble import HistGradientBoostingClassifier

from clustering_pipeline.core.evidence_model import Curve, EvidenceModel, Reals, Trees

# Tried before context was a feature: pairs of sellers are ranked a little better than by depth 3,
# those of other sets as well.
_TREES, _DEPTH, _RATE, _RIDGE = 100, 4, 0.1, 20.0


@dataclass(frozen=True)
class Training:
    """`features`: float64 (m,) by name, NaN where missing.

    `same`: 1, 0 or a share between (m,). `weights`: float64 (m,).
    """

    features: Mapping[str, Reals]
    same: Reals
    weights: Reals


def fit_model(
    training: Training,
    signs: Mapping[str, int],
    *,
    knots: int = 5,
    ridge: float = 4.0,
    rounds: int = 250,
) -> EvidenceModel:
    """Return the model whose curve of each feature in `signs` rises (1) or falls (-1); features
    that go neither way (0) have none.

    The knots are quantiles of the pairs, half of them of the true ones. `ridge` is the penalty on
    every step and on a curve's value at its first knot, in units of one pair's weight where weights
    have mean 1.
    """
    weights = training.weights / training.weights.mean()
    truth = training.same.astype(np.float64)
    placed = {
        name: _knots(training.features[name], truth > 0.5, knots)
        for name, sign in signs.items()
        if sign and name in training.features
    }
    placed = {name: at for name, at in placed.items() if len(at) > 1}
    blocks, penalties = [np.ones((len(weights), 1), np.float32)], [0.0]
    bounds: list[tuple[int | None, int | None]] = [(None, None)]
    for name, at in placed.items():
        blocks.append(_ramps(training.features[name], at))
        one_way = (0, None) if signs[name] > 0 else (None, 0)
        bounds += [(None, None), *[one_way] * (len(at) - 1)]
        penalties += [ridge] * len(at)
    design, penalty = np.concatenate(blocks, axis=1), np.array(penalties)

    def loss(parameters: Reals) -> tuple[float, Reals]:
        score = (design @ parameters.astype(np.float32)).astype(np.float64)
        cost = weights * (np.logaddexp(0, score) - truth * score)
        slope = (weights * (1 / (1 + np.exp(-score)) - truth)).astype(np.float32)
        return float(cost.sum() + (penalty * parameters**2).sum() / 2), (slope @ design).astype(
            np.float64
        ) + penalty * parameters

    share = np.average(truth, weights=weights)
    start = np.zeros(design.shape[1])
    start[0] = np.log(share / (1 - share))
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": rounds}
    ).x
    curves, position = {}, 1
    for name, at in placed.items():
        curves[name] = Curve(at, np.cumsum(found[position : position + len(at)]))
        position += len(at)
    return EvidenceModel(float(found[0]), curves, float(share))


def fit_mixed(training: Training, signs: Mapping[str, int]) -> EvidenceModel:
    """Return the mean of `fit_model` and `fit_trees`."""
    curves, trees = fit_model(training, signs), fit_trees(training, signs)
    halved = {
        name: replace(curve, values=curve.values / 2) for name, curve in curves.curves.items()
    }
    return replace(
        curves, base=curves.base / 2, curves=halved, trees=replace(trees, value=trees.value / 2)
    )


def fit_trees(training: Training, signs: Mapping[str, int]) -> Trees:
    """Return boosted trees whose sum, the log-odds, rises (1) or falls (-1) with every feature in
    `signs`, or goes either way (0); `same` must be 0 or 1.
    """
    names = tuple(
        name
        for name in signs
        if name in training.features and np.isfinite(training.features[name]).any()
    )
    table = np.stack([training.features[name] for name in names], axis=1)
    model = HistGradientBoostingClassifier(
        max_iter=_TREES,
        max_depth=_DEPTH,
        learning_rate=_RATE,
        l2_regularization=_RIDGE,
        monotonic_cst=[signs[name] for name in names],
        early_stopping=False,
        random_state=0,
    )
    model.fit(
        table,
        training.same.astype(np.int64),
        sample_weight=training.weights / training.weights.mean(),
    )
    trees = _trees_of(model, names)
    features = {name: table[:, number] for number, name in enumerate(names)}
    added = trees.base + sum(
        trees.contributions(features, len(table)).values(), np.zeros(len(table))
    )
    # Where its nodes lie is not scikit-learn's public interface.
    if not np.allclose(added, model.decision_function(table), atol=1e-6):
        raise RuntimeError("This version of scikit-learn keeps its trees in another form.")
    return trees


def _trees_of(model: HistGradientBoostingClassifier, names: tuple[str, ...]) -> Trees:
    trees = [found for (found,) in model._predictors]
    sizes = [len(tree.nodes) for tree in trees]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    nodes = np.concatenate([tree.nodes for tree in trees])
    first = np.repeat(roots, sizes)
    is_leaf = nodes["is_leaf"].astype(bool)
    value = np.concatenate([_expected(tree.nodes) for tree in trees])
    # What the model expects before any tree.
    value[first == 0] += float(np.ravel(model._baseline_prediction)[0])
    return Trees(
        names,
        roots,
        np.where(is_leaf, -1, nodes["feature_idx"]).astype(np.int64),
        nodes["num_threshold"].astype(np.float64),
        nodes["missing_go_to_left"].astype(bool),
        first + nodes["left"].astype(np.int64),
        first + nodes["right"].astype(np.int64),
        value,
    )


def _expected(nodes: NDArray[Any]) -> Reals:
    """Return the value of each node: of a leaf its own, of others the mean over the pairs below."""
    value = nodes["value"].astype(np.float64)
    # Nodes come before those below them.
    for number in np.flatnonzero(nodes["is_leaf"] == 0)[::-1].tolist():
        below = [int(nodes[number][side]) for side in ("left", "right")]
        value[number] = np.average(value[below], weights=nodes["count"][below])
    return value


def _knots(feature: Reals, same: NDArray[np.bool_], count: int) -> Reals:
    known = np.isfinite(feature)
    shares = np.linspace(0.01, 0.99, count)
    both = [
        np.quantile(feature[known & chosen], shares)
        for chosen in (same, ~same)
        if (known & chosen).sum() >= count
    ]
    return np.unique(np.round(np.concatenate(both), 4)) if both else np.zeros(0)


def _ramps(feature: Reals, knots: Reals) -> NDArray[np.float32]:
    """Return (m, k): 1, then how far each value is along every span of the knots; zeros where it is
    missing.
    """
    known = np.isfinite(feature)
    steps = np.clip(
        (np.nan_to_num(feature)[:, None] - knots[None, :-1]) / np.diff(knots)[None], 0, 1
    )
    return (np.concatenate([np.ones((len(feature), 1)), steps], axis=1) * known[:, None]).astype(
        np.float32
    )
