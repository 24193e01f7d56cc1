"""How far probabilities can be believed: reliability curves, expected calibration error, Brier
score.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """One entry per bin that holds anything: mean of what was `said` and of what was `true`
    (float64), and the bins' `weights`.
    """

    said: Reals
    true: Reals
    weights: Reals

    @property
    def error(self) -> float:
        """The expected calibration error: the mean of |said − true| over the bins by their weights
        (Naeini et al., AAAI 2015).
        """
        total = self.weights.sum()
        return (
            float((self.weights * np.abs(self.said - self.true)).sum() / total)
            if total > 0
            else 0.0
        )


def reliability(
    probabilities: Reals, truth: Reals, weights: Reals | None = None, bins: int = 10
) -> Reliability:
    """Return the curve over `bins` bins of equal width; `truth` is 0, 1 or a share between."""
    weights = np.ones(len(probabilities)) if weights is None else weights
    number = np.minimum((np.clip(probabilities, 0, 1) * bins).astype(np.int64), bins - 1)
    total = np.bincount(number, weights, minlength=bins).astype(np.float64)
    held = total > 0
    sums = [
        np.bincount(number, weights * values, minlength=bins) for values in (probabilities, truth)
    ]
    return Reliability(sums[0][held] / total[held], sums[1][held] / total[held], total[held])


def brier_score(probabilities: Reals, truth: Reals, weights: Reals | None = None) -> float:
    """Return the weighted mean of (probability − truth)²."""
    return (
        float(np.average((probabilities - truth) ** 2, weights=weights))
        if len(probabilities)
        else 0.0
    )
