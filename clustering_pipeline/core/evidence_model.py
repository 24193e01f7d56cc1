"""The evidence model: what each piece of evidence adds to the logarithm of the odds that two
pictures show one product.

Monotone in every feature. A generalised additive model (Hastie and Tibshirani 1986): base +
Σ f_k(x_k), where every f_k is a piecewise linear curve (Barlow et al. 1972 call such fits isotonic)
to which a missing feature (NaN) adds nothing, so that a catalogue without titles or readable text
is judged by the rest. The models of pairs are the mean of that and of boosted trees (Friedman
2001), which know what a feature is worth beside another: print that agrees says little where the
kinds of product that are printed differ. Both are plain numbers in a JSON file.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
# Pairs whose contributions by every feature are held in memory at once.
PAIR_BLOCK = 65_536
_LIST = re.compile(r"\[[^\[\]]*\]")


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
class Trees:
    """Binary trees whose values add up, all nodes one after the other.

    Attributes:
        names: of the features.
        roots: int64 (t,), the first node of each tree.
        feature: int64 (n,), which of `names` a node asks for; -1 at a leaf.
        threshold: float64 (n,); values up to it go left, greater ones right.
        missing_left: bool (n,), whether missing values go left.
        left, right: int64 (n,), the nodes below.
        value: float64 (n,), what is expected of the pairs that come to a node; what a leaf adds.
    """

    names: tuple[str, ...]
    roots: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: Reals
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: Reals

    @property
    def base(self) -> float:
        """What all trees add before anything is asked."""
        return float(self.value[self.roots].sum())

    def contributions(self, features: Mapping[str, Reals], size: int) -> dict[str, Reals]:
        """Return per feature (float64, `size`) by how much the expected value changes where it is
        asked for (Saabas 2014); with `base` they add up to the sum of the leaves.
        """
        missing = np.full(size, np.nan)
        table = np.stack(
            [np.asarray(features.get(name, missing), np.float64) for name in self.names]
        )
        changes = np.zeros((len(self.names), size))
        for root in self.roots.tolist():
            node, pairs = np.full(size, root), np.arange(size)
            while len(pairs):
                pairs = pairs[self.feature[node[pairs]] >= 0]
                here = node[pairs]
                asked = self.feature[here]
                values = table[asked, pairs]
                goes_left = np.where(
                    np.isnan(values), self.missing_left[here], values <= self.threshold[here]
                )
                below = np.where(goes_left, self.left[here], self.right[here])
                changes[asked, pairs] += self.value[below] - self.value[here]
                node[pairs] = below
        return dict(zip(self.names, changes, strict=True))


@dataclass(frozen=True)
class EvidenceModel:
    """`base`: log-odds of a pair of which nothing is known. `curves`: by the name of the feature.

    `prior`: the share of true pairs where the model was fitted. `trees` add to the curves.
    """

    base: float
    curves: Mapping[str, Curve]
    prior: float = 0.5
    trees: Trees | None = None

    def contributions(self, features: Mapping[str, Reals], size: int) -> dict[str, Reals]:
        """Return per feature what it adds to the log-odds of each of `size` pairs (float64);
        curves of features that are not given add nothing.
        """
        by_curve = {
            name: curve(np.asarray(features[name], np.float64))
            for name, curve in self.curves.items()
            if name in features
        }
        more = self.trees.contributions(features, size) if self.trees else {}
        return by_curve | {name: by_curve.get(name, 0.0) + values for name, values in more.items()}

    def log_odds(self, features: Mapping[str, Reals], size: int) -> Reals:
        """Return the log-odds of `size` pairs (float64)."""
        base = self.base + (self.trees.base if self.trees else 0.0)
        log_odds = np.full(size, base)
        for start in range(0, size, PAIR_BLOCK):
            block = slice(start, min(start + PAIR_BLOCK, size))
            some = {name: values[block] for name, values in features.items()}
            for added in self.contributions(some, block.stop - start).values():
                log_odds[block] += added
        return log_odds

    def as_json(self) -> str:
        """Return the model as JSON, numbers rounded to five digits, a list a line."""
        curves = {
            name: {"knots": _rounded(curve.knots), "values": _rounded(curve.values)}
            for name, curve in self.curves.items()
        }
        content = {"base": round(self.base, 5), "prior": round(self.prior, 5), "curves": curves}
        text = json.dumps(
            content | ({"trees": _as_lists(self.trees)} if self.trees else {}), indent=1
        )
        return _LIST.sub(lambda match: " ".join(match[0].split()), text)


def read_model(text: str) -> EvidenceModel:
    """Return the model of a JSON text that `EvidenceModel.as_json` made."""
    content = json.loads(text)
    curves = {
        name: Curve(np.array(curve["knots"], np.float64), np.array(curve["values"], np.float64))
        for name, curve in content["curves"].items()
    }
    return EvidenceModel(
        float(content["base"]),
        curves,
        float(content.get("prior", 0.5)),
        _trees_of(content["trees"]) if "trees" in content else None,
    )


def _as_lists(trees: Trees) -> dict[str, list[Any]]:
    return {
        "names": list(trees.names),
        "roots": trees.roots.tolist(),
        "feature": trees.feature.tolist(),
        "threshold": _rounded(trees.threshold),
        "missing_left": trees.missing_left.tolist(),
        "left": trees.left.tolist(),
        "right": trees.right.tolist(),
        "value": _rounded(trees.value),
    }


def _trees_of(content: Mapping[str, list[Any]]) -> Trees:
    whole, real = np.int64, np.float64
    return Trees(
        tuple(content["names"]),
        np.array(content["roots"], whole),
        np.array(content["feature"], whole),
        np.array(content["threshold"], real),
        np.array(content["missing_left"], bool),
        np.array(content["left"], whole),
        np.array(content["right"], whole),
        np.array(content["value"], real),
    )


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
