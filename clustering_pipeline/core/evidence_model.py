"""The evidence model: what each piece of evidence adds to the logarithm of the odds that two
pictures show one product.

A generalised additive model (Hastie and Tibshirani 1986): log-odds = base + Σ f_k(x_k), where every
f_k is a monotone, piecewise linear curve (Barlow et al. 1972 call such fits isotonic). A feature
that is missing (NaN) adds nothing, whatever the others say, so that a catalogue without titles or
without readable text is judged by the rest. The curves are plain numbers in a JSON file.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """What a feature adds to the log-odds: `values` at `knots` (both float64, k, knots ascending),
    linear between, flat outside.
    """

    knots: Reals
    values: Reals

    def __call__(self, feature: Reals) -> Reals:
        """Return the contribution of each value (float64, m); 0 where it is NaN."""
        return np.where(np.isfinite(feature), np.interp(feature, self.knots, self.values), 0.0)


@dataclass(frozen=True)
class EvidenceModel:
    """`base`: log-odds of a pair of which nothing is known. `curves`: by the name of the feature.

    `prior`: the share of true pairs where the model was fitted.
    """

    base: float
    curves: Mapping[str, Curve]
    prior: float = 0.5

    def contributions(self, features: Mapping[str, Reals]) -> dict[str, Reals]:
        """Return per feature what it adds to the log-odds of each pair; features that are not given
        add nothing.
        """
        return {
            name: curve(np.asarray(features[name], np.float64))
            for name, curve in self.curves.items()
            if name in features
        }

    def log_odds(self, features: Mapping[str, Reals], size: int) -> Reals:
        """Return the log-odds of `size` pairs (float64)."""
        return self.base + sum(self.contributions(features).values(), np.zeros(size))

    def as_json(self) -> str:
        """Return the model as JSON, numbers rounded to five digits."""
        curves = {
            name: {"knots": _rounded(curve.knots), "values": _rounded(curve.values)}
            for name, curve in self.curves.items()
        }
        return json.dumps(
            {"base": round(self.base, 5), "prior": round(self.prior, 5), "curves": curves}, indent=1
        )


def read_model(text: str) -> EvidenceModel:
    """Return the model of a JSON text that `EvidenceModel.as_json` made."""
    content = json.loads(text)
    curves = {
        name: Curve(np.array(curve["knots"], np.float64), np.array(curve["values"], np.float64))
        for name, curve in content["curves"].items()
    }
    return EvidenceModel(float(content["base"]), curves, float(content.get("prior", 0.5)))


def load_model(path: Path) -> EvidenceModel:
    """Return the model in a JSON file."""
    return read_model(path.read_text(encoding="utf-8"))


def prior_shift(log_odds: Reals, prior: float, rounds: int = 100, pseudo: float = 200.0) -> float:
    """Return how much larger the logit of the share of true pairs is among these than `prior`,
    which their log-odds assume.

    Expectation maximisation of the mixture's share (Saerens, Latinne and Decaestecker 2002), with
    `pseudo` pairs of share `prior` beside them, so that few pairs shift little.
    """
    share, start = prior, np.log(prior / (1 - prior))
    for _ in range(rounds):
        expected = probability_of(log_odds + np.log(share / (1 - share)) - start).sum()
        share = float(
            np.clip((expected + pseudo * prior) / (len(log_odds) + pseudo), 1e-6, 1 - 1e-6)
        )
    return float(np.log(share / (1 - share)) - start)


def probability_of(log_odds: Reals) -> Reals:
    """Return 1 / (1 + exp(-log-odds)) without overflow.

    Example:
        >>> [f"{one:.2f}" for one in probability_of(np.array([-2.0, 0.0, 2.0]))]
        ['0.12', '0.50', '0.88']
    """
    return np.where(
        log_odds >= 0,
        1 / (1 + np.exp(-np.abs(log_odds))),
        np.exp(-np.abs(log_odds)) / (1 + np.exp(-np.abs(log_odds))),
    )


def _rounded(values: Sequence[float] | Reals) -> list[float]:
    return [round(float(value), 5) for value in values]
