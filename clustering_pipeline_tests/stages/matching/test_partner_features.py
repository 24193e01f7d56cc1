"""What the other pairs of two crops say of their own."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering_pipeline.stages.matching.partner_features import SUREST, partner_features

# Crops 0 to 2 are one product, 3 to 5 its sibling; 2 and 3 look alike.
PAIRS = np.array(list(combinations(range(6), 2)))
SAME = (PAIRS < 3).all(axis=1) | (PAIRS >= 3).all(axis=1)


def _log_odds() -> np.ndarray:
    alike = (PAIRS == [2, 3]).all(axis=1)
    return np.where(SAME, 3.0, np.where(alike, 2.0, -3.0))


def _of(features: dict[str, np.ndarray], first: int, second: int) -> dict[str, float]:
    row = int(np.flatnonzero(([first, second] == PAIRS).all(axis=1))[0])
    return {name: float(values[row]) for name, values in features.items()}


def test_siblings_that_look_alike_share_no_partners_and_contradict_each_others():
    found = partner_features(PAIRS, _log_odds(), 6)
    within, across = _of(found, 0, 1), _of(found, 2, 3)
    assert within["partners_jaccard"] > 0.7 > 0.2 > across["partners_jaccard"]
    assert within["partners_differ"] < 0.2 < 0.8 < across["partners_differ"]
    assert within["path"] == pytest.approx(3.0)
    assert across["path"] == pytest.approx(-3.0)
    assert across["path_broken"] == pytest.approx(3.0)


def test_a_lead_is_over_the_best_other_pair_of_either_crop():
    found = _of(partner_features(PAIRS, _log_odds(), 6), 2, 3)
    assert found["lead"] == pytest.approx(-1.0)
    alone = partner_features(np.array([[0, 1], [1, 2]]), np.array([1.0, 4.0]), 3)
    assert alone["lead"].tolist() == [-3.0, 3.0]
    assert alone["lead_far"].tolist() == [1.0 + SUREST, 4.0 + SUREST]


def test_thirds_that_nobody_compared_say_nothing():
    found = partner_features(np.array([[0, 1]]), np.array([2.0]), 2)
    assert np.isnan(found["partners_differ"]).all()
    assert found["path"].tolist() == pytest.approx([-SUREST])


def test_no_pairs_at_all():
    found = partner_features(np.zeros((0, 2), np.int64), np.zeros(0), 1)
    assert {len(values) for values in found.values()} == {0}


@settings(deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_crops_and_pairs_does_not_count(order):
    place = np.array(order)
    renamed = np.sort(place[PAIRS], axis=1)
    shuffled = np.lexsort(renamed.T)
    found = partner_features(renamed[shuffled], _log_odds()[shuffled], 6)
    for name, values in partner_features(PAIRS, _log_odds(), 6).items():
        assert found[name] == pytest.approx(values[shuffled]), name
