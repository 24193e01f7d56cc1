"""Whether two packs contradict the same others: packs of one product do, packs of near variants do not."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_FEWEST_COMMON = 6


def profile_disagreement(
    pairs: NDArray[np.int64], compared: NDArray[np.bool_], contradicting: NDArray[np.bool_], count: int
) -> NDArray[np.float64]:
    """Return for each pair the share of common neighbours that contradict one of the two and not the other.

    Where OCR misses the one line that tells two variants apart, their neighbours still show it: what contradicts the one
    agrees with the other. Packs of one product contradict the same neighbours.

    Args:
        pairs: int64 (m, 2) of `count` packs.
        compared: whether each pair's print and text could be compared.
        contradicting: whether each compared pair contradicts itself in words, numbers or copies.

    Returns:
        float64 (m,), 0 to 1; 0 where the two have fewer than six common neighbours.
    """
    if len(pairs) == 0:
        return np.zeros(0)
    against = _symmetric(pairs[compared & contradicting], count)
    agreed = _symmetric(pairs[compared & ~contradicting], count)
    one_sided = (against @ agreed).tocsr()
    one_sided = one_sided + one_sided.T
    both = against + agreed
    common = (both @ both).tocsr()
    left, right = pairs.T
    shared = np.asarray(common[left, right], np.float64).ravel()
    differing = np.asarray(one_sided[left, right], np.float64).ravel()
    return np.where(shared >= _FEWEST_COMMON, differing / np.maximum(shared, 1), 0.0)


def _symmetric(pairs: NDArray[np.int64], count: int) -> sparse.csr_matrix:
    half = sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()
    return half + half.T
