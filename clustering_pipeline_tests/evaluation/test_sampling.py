"""How good a grouping is by a few answers: simulated on drawn pairs whose truth is known."""

import numpy as np
import pytest

from clustering_pipeline.evaluation import (
    Answered,
    Pairs,
    cohens_kappa,
    drawing_order,
    estimate_quality,
    strata,
)
from clustering_pipeline.evaluation.sampling import NEVER_COMPARED

ANSWERS, WRONG = 60, 0.02


def drawn_pairs(seed, shift=0.0):
    """Pairs whose probabilities err by `shift` in log-odds, with the truth, and true pairs that
    were never compared.
    """
    random = np.random.default_rng(seed)
    logits = np.concatenate([random.normal(-6, 2, 4000), random.normal(2, 2, 500)])
    truth = random.random(len(logits)) < 1 / (1 + np.exp(-logits - shift))
    probability = 1 / (1 + np.exp(-logits))
    together = random.random(len(logits)) < probability
    pairs = Pairs(together, probability, random.integers(1, 4, len(logits)).astype(float))
    true = float(pairs.weight[truth].sum())
    share = random.beta(*NEVER_COMPARED)
    return pairs, truth, true * share / (1 - share)


def figures(pairs, truth, never):
    right = pairs.weight[truth & pairs.together].sum()
    recall = right / (pairs.weight[truth].sum() + never)
    return right / pairs.weight[pairs.together].sum(), recall


def answered(pairs, truth, seed, count=ANSWERS):
    random = np.random.default_rng(seed)
    asked = drawing_order(pairs, seed)[:count]
    said = truth[asked] ^ (random.random(count) < WRONG)
    return Answered(asked, said, np.ones(count, bool))


@pytest.mark.parametrize("shift", [-1.0, 0.0, 1.0])
def test_the_intervals_cover_the_truth_also_where_the_model_errs(shift):
    covered = []
    for seed in range(40):
        pairs, truth, never = drawn_pairs(seed, shift)
        found = estimate_quality(pairs, answered(pairs, truth, seed))
        precision, recall = figures(pairs, truth, never)
        covered.append((found.precision.covers(precision), found.recall.covers(recall)))
    assert (np.mean(covered, axis=0) >= 0.9).all()


def test_more_answers_narrow_the_intervals():
    pairs, truth, _ = drawn_pairs(1)
    few, many = (estimate_quality(pairs, answered(pairs, truth, 1, n)) for n in (10, 400))
    assert many.precision.margin < 0.6 * few.precision.margin
    assert many.recall.margin < few.recall.margin


def test_all_answered_is_known_but_for_what_was_never_compared():
    pairs, truth, _ = drawn_pairs(2)
    everything = Answered(np.arange(len(pairs)), truth, np.ones(len(pairs), bool))
    found = estimate_quality(pairs, everything, wrong=1e-9)
    precision, recall = figures(pairs, truth, 0.0)
    assert found.precision.value == pytest.approx(precision)
    assert found.precision.margin == pytest.approx(0, abs=1e-6)
    assert found.recall.low < recall and found.recall.high <= recall + 1e-6


def test_chosen_answers_count_for_their_pairs_alone():
    """Answers to pairs that were chosen because they are doubtful say nothing of the others."""
    together = np.ones(1000, bool)
    pairs = Pairs(together, np.full(1000, 0.9), np.ones(1000))
    none = Answered(np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, bool))
    chosen = Answered(np.arange(50), np.zeros(50, bool), np.zeros(50, bool))
    first, second = (estimate_quality(pairs, said).precision.value for said in (none, chosen))
    assert first - second == pytest.approx(0.9 * 0.05, abs=0.02)


def test_copies_count_as_right():
    pairs = Pairs(np.array([True]), np.array([0.5]), np.ones(1), copies=999.0)
    none = Answered(np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, bool))
    assert estimate_quality(pairs, none).precision.low > 0.99


def test_nothing_together_is_no_mistake():
    pairs = Pairs(np.zeros(3, bool), np.full(3, 0.1), np.ones(3))
    none = Answered(np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, bool))
    assert estimate_quality(pairs, none).precision.value == 1.0


def test_the_order_begins_in_every_stratum_that_matters_and_holds_each_pair_once():
    pairs, _, _ = drawn_pairs(3)
    order = drawing_order(pairs, 7)
    assert np.array_equal(np.sort(order), np.arange(len(pairs)))
    assert np.array_equal(order, drawing_order(pairs, 7))
    assert not np.array_equal(order, drawing_order(pairs, 8))
    first = strata(pairs)[order[:60]]
    assert len(set(first.tolist())) > 8
    assert 0.3 < pairs.together[order[:60]].mean() < 0.6


def test_a_heavier_pair_is_drawn_sooner():
    weight = np.where(np.arange(2000) < 100, 20.0, 1.0)
    pairs = Pairs(np.ones(2000, bool), np.full(2000, 0.8), weight)
    first = np.concatenate([drawing_order(pairs, seed)[:50] for seed in range(10)])
    assert (first < 100).mean() == pytest.approx(0.5, abs=0.1)


def test_two_people_who_always_agree_have_a_kappa_of_one():
    said = np.array([True, False, True, True])
    assert cohens_kappa(said, said) == 1.0
    assert cohens_kappa(said, ~said) < 0
    assert cohens_kappa(said[:0], said[:0]) == 1.0
