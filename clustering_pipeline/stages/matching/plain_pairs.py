"""Pairs of which neither crop has print or text: what the encoder says of them, on the scale of the
category's own pairs whose print was compared.

Whoever has print gives examples: pairs whose print agrees are of one product, the other candidates
with print nearly all are not. How much likelier a likeness is among the first than among the second
is a rising function of it (isotonic regression, Barlow et al. 1972). The share of true pairs among
the plain ones, which nobody labelled, comes out of their own likenesses (Saerens et al. 2002, the
case of positive and unlabelled examples of Elkan and Noto 2008).
"""

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.evidence_model import prior_shift

Reals = NDArray[np.float64]

# Examples of each kind without which nothing is said.
FEWEST = 30
# Examples beside those of each kind that say nothing, so that no likeness is certain.
PSEUDO = 2.0
# Of plain candidates so many are true where nothing is known.
USUAL_SHARE = 0.1


def plain_log_odds(verified: Reals, others: Reals, plain: Reals) -> Reals | None:
    """Return the log-odds of one product of plain pairs, float64 (m,), by their likeness `plain`.

    `verified` and `others` are the likenesses of candidates whose print agrees, and of those whose
    print was compared and does not. None where there are too few of either.
    """
    if min(len(verified), len(others)) < FEWEST or len(plain) == 0:
        return None
    ratio = _log_ratio(verified, others, plain)
    odds = ratio + float(np.log(USUAL_SHARE / (1 - USUAL_SHARE)))
    moved: Reals = odds + prior_shift(odds, USUAL_SHARE)
    return moved


def _log_ratio(verified: Reals, others: Reals, asked: Reals) -> Reals:
    """Return the logarithm of how much likelier a likeness is among the verified."""
    from sklearn.isotonic import IsotonicRegression

    likeness = np.concatenate([verified, others])
    truth = np.repeat([1.0, 0.0], [len(verified), len(others)])
    # Both kinds weigh the same, so that the regression is the share of the first in an even mix.
    weights = np.repeat([1 / len(verified), 1 / len(others)], [len(verified), len(others)])
    shares = IsotonicRegression(out_of_bounds="clip").fit(likeness, truth, sample_weight=weights)
    doubt = PSEUDO / min(len(verified), len(others))
    share = np.clip(shares.predict(asked), doubt, 1 - doubt)
    log_ratio: Reals = np.log(share / (1 - share))
    return log_ratio
