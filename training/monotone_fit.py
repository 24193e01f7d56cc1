"""Fits an evidence model: ridge-penalised logistic regression on ramps.

A curve over knots k_0 < … < k_m is v_0 + Σ d_l · clip((x − k_{l−1}) / (k_l − k_{l−1}), 0, 1) with
all d_l ≥ 0 (or ≤ 0): a linear model under bounds, solved by L-BFGS-B (Byrd et al. 1995).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from clustering_pipeline.core.evidence_model import Curve, EvidenceModel, Reals


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
    """Return the model whose curve of each feature in `signs` rises (1) or falls (-1).

    The knots are quantiles of the pairs, half of them of the true ones. `ridge` is the penalty on
    every step and on a curve's value at its first knot, in units of one pair's weight where weights
    have mean 1.
    """
    weights = training.weights / training.weights.mean()
    truth = training.same.astype(np.float64)
    placed = {
        name: _knots(training.features[name], truth > 0.5, knots)
        for name in signs
        if name in training.features
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
