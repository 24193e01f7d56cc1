"""The features of the evidence model: what is missing, what depends on the category's size, who
decides, and what the other pairs of two crops say of their own.
"""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering_pipeline.core.text import gazetteer
from clustering_pipeline.stages.matching.judging import shipped_models
from clustering_pipeline.stages.matching.pair_features import (
    CONTEXT,
    SUREST,
    attribute_features,
    context_features,
    crowd,
    encoder_features,
    partner_features,
    print_features,
    shop_features,
    standing,
    text_features,
)
from clustering_pipeline.stages.matching.weights import KINDS, kind_of, told_reasons

PAIRS = np.array([[0, 1], [0, 2], [1, 2], [2, 3]])


def test_ranks_are_among_the_candidates_of_either_end():
    found = standing("x", PAIRS, np.array([0.9, 0.5, 0.7, np.nan]), 4)
    assert found["x_rank"][:3] == pytest.approx([0, 1, 0])
    assert found["x_rank_far"][:3] == pytest.approx([0, 1, 1])
    assert found["x_gap"][:3] == pytest.approx([0, -0.4, -0.2])
    assert np.isnan([values[3] for values in found.values()]).all()


def test_equal_likeness_has_equal_rank():
    found = standing("x", np.array([[0, 1], [0, 2], [0, 3]]), np.array([0.5, 0.5, 0.2]), 4)
    assert found["x_rank_far"] == pytest.approx(np.log2([1, 1, 3]))


def test_print_is_missing_where_neither_crop_has_any():
    found = print_features(
        PAIRS, np.array([3.0, 0, 0, 0]), np.full(4, 0.5), np.array([False, False, False, True]), 4
    )
    assert found["print"][:3] == pytest.approx([np.log(4), 0, 0])
    assert np.isnan(found["print"][3])
    assert np.isnan(found["overlap"][1:]).all()


def test_text_that_nobody_read_is_no_feature():
    assert text_features("text", PAIRS, [""] * 4, np.full(4, np.nan)) == {}


def test_what_a_pack_states_is_within_what_a_banner_about_it_states():
    stated = [
        gazetteer().read(text)
        for text in (
            "gel rửa mặt",
            "gel rửa mặt, dùng sau nước tẩy trang",
            "nước tẩy trang",
            "100 % vegan",
        )
    ]
    found = attribute_features(PAIRS, stated)
    assert found["kind_overlap"][:3] == pytest.approx([1, 0, 1])
    assert found["kind_jaccard"][:3] == pytest.approx([0.5, 0, 0.5])
    assert np.isnan(found["kind_overlap"][3])
    assert np.isnan(found["traits_overlap"]).all()


def test_an_encoder_counts_by_order_and_not_by_its_cosines():
    random = np.random.default_rng(3)
    vectors = random.normal(size=(40, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = np.array([[row, other] for row in range(40) for other in range(row + 1, 40)])
    cosines = np.einsum("ij,ij->i", vectors[pairs[:, 0]], vectors[pairs[:, 1]]).astype(float)
    # The same directions with a large common part have cosines near one.
    raised = np.hstack([np.sqrt(0.2) * vectors, np.full((40, 1), np.sqrt(0.8), np.float32)])
    first, second = (
        encoder_features("e", pairs, vectors, cosines),
        encoder_features("e", pairs, raised, 0.2 * cosines + 0.8),
    )
    for name, values in first.items():
        assert values == pytest.approx(second[name], abs=1e-3)


def test_one_shop_lists_a_product_twice_in_other_sizes_only():
    shops, other_sizes = np.array([0, 0, 1, -1]), np.array([False, False, False, True])
    same = shop_features(PAIRS, shops, other_sizes)["shop_same"]
    assert same[:3].tolist() == [1, 0, 0]
    assert np.isnan(same[3])
    assert np.isnan(shop_features(PAIRS[:1], shops, np.array([True]))["shop_same"]).all()


def test_context_is_of_both_crops_whichever_comes_first():
    found = context_features(
        np.array([[0, 1], [1, 0], [1, 2]]),
        np.array([0.0, 99.0, 9.0]),
        np.array([3.0, 0.0, np.nan]),
        np.array([0.2, 1.0, 0.5]),
    )
    assert found["context_keypoints_least"] == pytest.approx(np.log1p([0, 0, 9]))
    assert found["context_area_most"] == pytest.approx([1, 1, 1])
    assert found["context_lines_most"][:2] == pytest.approx(np.log1p([3, 3]))
    assert np.isnan(found["context_lines_least"][2])


def test_a_crowd_does_not_grow_with_the_catalogue():
    star = np.array([[0, other] for other in range(1, 40)])
    every = np.ones(39, bool)
    assert crowd(star, np.full(39, 3.0), every, 40).max() <= 1
    assert (
        crowd(star[:11], np.full(11, 3.0), every[:11], 40).max()
        == crowd(star, np.full(39, 3.0), every, 40).max()
    )
    assert (crowd(star, np.full(39, 3.0), ~every, 40) == 0).all()


@pytest.mark.parametrize("name", ["alone", "together"])
def test_the_shipped_models_are_monotone_and_every_feature_has_a_kind(name):
    model = getattr(shipped_models(), name)
    for curve in model.curves.values():
        steps = np.diff(curve.values)
        assert (steps >= 0).all() or (steps <= 0).all()
        assert (np.diff(curve.knots) > 0).all()
    assert not any(name.startswith(CONTEXT) for name in model.curves)
    told = {name for name in model.trees.names if not name.startswith(CONTEXT)} - {"by_itself"}
    assert told >= model.curves.keys() - {"by_itself"}
    assert {kind_of(feature) for feature in told} <= KINDS.keys()


def test_the_strongest_reason_is_told_first():
    told = told_reasons(
        {
            "text": np.array([2.0, 1.0]),
            "text_gap": np.array([0.5, 0]),
            "colour": np.array([-3.0, 0]),
        },
        2,
    )
    assert told == ["colours -3.0, text +2.5", "text +1.0"]
    assert told_reasons({"text": np.array([0.1])}, 1) == [None]


# Crops 0 to 2 are one product, 3 to 5 its sibling; 2 and 3 look alike.
SIBLINGS = np.array(list(combinations(range(6), 2)))
SAME = (SIBLINGS < 3).all(axis=1) | (SIBLINGS >= 3).all(axis=1)


def _log_odds() -> np.ndarray:
    alike = (SIBLINGS == [2, 3]).all(axis=1)
    return np.where(SAME, 3.0, np.where(alike, 2.0, -3.0))


def _of(features: dict[str, np.ndarray], first: int, second: int) -> dict[str, float]:
    row = int(np.flatnonzero(([first, second] == SIBLINGS).all(axis=1))[0])
    return {name: float(values[row]) for name, values in features.items()}


def test_siblings_that_look_alike_share_no_partners_and_contradict_each_others():
    found = partner_features(SIBLINGS, _log_odds(), 6)
    within, across = _of(found, 0, 1), _of(found, 2, 3)
    assert within["partners_jaccard"] > 0.7 > 0.2 > across["partners_jaccard"]
    assert within["partners_differ"] < 0.2 < 0.8 < across["partners_differ"]
    assert within["path"] == pytest.approx(3.0)
    assert across["path"] == pytest.approx(-3.0)
    assert across["path_broken"] == pytest.approx(3.0)


def test_a_lead_is_over_the_best_other_pair_of_either_crop():
    found = _of(partner_features(SIBLINGS, _log_odds(), 6), 2, 3)
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
    renamed = np.sort(place[SIBLINGS], axis=1)
    shuffled = np.lexsort(renamed.T)
    found = partner_features(renamed[shuffled], _log_odds()[shuffled], 6)
    for name, values in partner_features(SIBLINGS, _log_odds(), 6).items():
        assert found[name] == pytest.approx(values[shuffled]), name
