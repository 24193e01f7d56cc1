from itertools import combinations

import numpy as np

from clustering_pipeline.stages.matching.weights import profile_disagreement

# Packs 0 to 4 are one variant, 5 to 9 the other; each pair was compared.
PAIRS = np.array(list(combinations(range(10), 2)))
ACROSS = (PAIRS[:, 0] < 5) & (PAIRS[:, 1] >= 5)


def test_a_missed_contradiction_shows_in_the_neighbours():
    contradicting = ACROSS.copy()
    missed = np.flatnonzero(ACROSS)[0]
    contradicting[missed] = False
    disagreement = profile_disagreement(PAIRS, np.ones(len(PAIRS), bool), contradicting, 10)
    assert disagreement[missed] == 1.0
    assert disagreement[~ACROSS].max() < 0.2


def test_few_common_neighbours_say_nothing():
    pairs = PAIRS[(PAIRS < 7).all(axis=1)]
    contradicting = (pairs[:, 0] < 5) & (pairs[:, 1] >= 5)
    assert not profile_disagreement(pairs, np.ones(len(pairs), bool), contradicting, 10).any()


def test_no_pairs_at_all():
    nothing = np.zeros(0, bool)
    assert len(profile_disagreement(np.zeros((0, 2), np.int64), nothing, nothing, 3)) == 0
