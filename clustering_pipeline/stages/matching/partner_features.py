"""What the other pairs of two crops say of their own: features of a second model of evidence.

A pair is judged by itself first. Then it counts whether both belong to the same third ones: two
siblings of a line look alike, but each looks more like its own pictures, and what agrees with the
one contradicts the other (stacking, Wolpert 1992, over relations that should be transitive).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from clustering_pipeline.core.evidence_model import probability_of
from clustering_pipeline.stages.matching.pair_features import Features, Pairs, Reals, by_end

# Log-odds beyond this say no more, and a pair that nobody looked at has so little.
SUREST = 8.0
# Expected partners below which there is nothing to compare.
_FEWEST, _FEWEST_IN_COMMON = 0.3, 0.05
_PAIR_BLOCK = 65_536


def partner_features(pairs: Pairs, log_odds: Reals, count: int) -> Features:
    """Return the features of m pairs of `count` crops, at least one, given the log-odds of each by
    itself (float64, m); NaN where there is nothing to compare.

    `by_itself`: these log-odds. `partners_common`: how many partners the two are expected to have
    in common, `partners_jaccard` as a share of all that they are expected to have.
    `partners_differ`: of the expected partners of the one that were compared with the other, the
    share that is expected to be no partner of it. `path`: the strongest way from the one to the
    other over a third, as strong as its weaker pair; `path_broken`: the strongest partner of the
    one that is none of the other, in the same way. `lead` and `lead_far`: how far the pair exceeds
    the best other pair of either crop, the smaller and the greater lead.
    """
    clipped = np.clip(log_odds, -SUREST, SUREST)
    likely = probability_of(clipped)
    yes, no = _symmetric(pairs, likely, count), _symmetric(pairs, 1 - likely, count)
    blocks = [
        _beside_thirds(yes, no, pairs[start : start + _PAIR_BLOCK])
        for start in range(0, max(len(pairs), 1), _PAIR_BLOCK)
    ]
    common, differing, path, broken = (np.concatenate(part) for part in zip(*blocks, strict=True))
    expected = np.asarray(yes.sum(axis=1)).ravel()
    either = expected[pairs].sum(axis=1) - 2 * likely - common
    compared = 2 * common + differing
    best = _best_other(pairs, clipped, count)
    return {
        "by_itself": clipped,
        "partners_common": common,
        "partners_jaccard": common / np.maximum(either, _FEWEST),
        "partners_differ": np.where(
            compared > _FEWEST_IN_COMMON,
            differing / np.maximum(compared, _FEWEST_IN_COMMON),
            np.nan,
        ),
        "path": _log_odds_of(path),
        "path_broken": _log_odds_of(broken),
        "lead": clipped - best.max(axis=1, initial=-SUREST),
        "lead_far": clipped - best.min(axis=1, initial=SUREST),
    }


def _symmetric(pairs: Pairs, values: Reals, count: int) -> sparse.csr_matrix:
    half = sparse.coo_matrix((values, tuple(pairs.T)), shape=(count, count)).tocsr()
    return (half + half.T).tocsr()


def _beside_thirds(
    yes: sparse.csr_matrix, no: sparse.csr_matrix, pairs: Pairs
) -> tuple[Reals, Reals, Reals, Reals]:
    """Return per pair, over all thirds that were compared with both: the expected number of common
    partners, and of partners of one alone; the likeliest third that is a partner of both (as likely
    as the less likely of the two), and that is one of one alone.
    """
    left, right = pairs.T
    first, second, not_first, not_second = yes[left], yes[right], no[left], no[right]
    common = _sums(first.multiply(second))
    differing = _sums(first.multiply(not_second)) + _sums(second.multiply(not_first))
    path = _largest(first.minimum(second))
    broken = np.maximum(_largest(first.minimum(not_second)), _largest(second.minimum(not_first)))
    return common, differing, path, broken


def _sums(products: sparse.csr_matrix) -> Reals:
    return np.asarray(products.sum(axis=1), np.float64).ravel()


def _largest(values: sparse.csr_matrix) -> Reals:
    return np.asarray(values.max(axis=1).todense(), np.float64).ravel()


def _log_odds_of(probability: Reals) -> Reals:
    bounded = np.clip(
        probability, probability_of(np.array(-SUREST)), probability_of(np.array(SUREST))
    )
    return np.asarray(np.log(bounded / (1 - bounded)), np.float64)


def _best_other(pairs: Pairs, value: Reals, count: int) -> NDArray[np.float64]:
    """Return the greatest value of any other pair of either end: float64 (m, 2)."""
    rows, order = by_end(pairs, value)
    is_first = np.ones(len(rows), bool)
    is_first[1:] = rows[1:] != rows[:-1]
    is_second = np.zeros(len(rows), bool)
    is_second[1:] = is_first[:-1] & ~is_first[1:]
    greatest, next_greatest = np.full(count, -SUREST), np.full(count, -SUREST)
    greatest[rows[is_first]] = value[order[is_first]]
    next_greatest[rows[is_second]] = value[order[is_second]]
    best = np.zeros((len(pairs), 2))
    side = (pairs[order, 1] == rows).astype(np.int64)
    best[order, side] = np.where(is_first, next_greatest[rows], greatest[rows])
    return best
