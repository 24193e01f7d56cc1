"""Weights of pairs, and plain pairs judged by an encoder, on simulated categories whose truth is
known.
"""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core import evidence_model
from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stages.matching.judging import Candidates, Examined, _with_plain_pairs
from clustering_pipeline.stages.matching.weights import (
    FEWEST_EXAMPLES,
    LARGEST_WEIGHT,
    PairEvidence,
    contradiction_of,
    pair_weights,
    plain_log_odds,
    probability_of,
    profile_disagreement,
)


def evidence(**values):
    defaults = {
        "cosine": 0.6,
        "print_weight": 2.0,
        "overlay": 0.0,
        "shape": np.nan,
        "bare": True,
        "has_text": False,
        "text_similarity": 0.0,
        "conflicting": 0,
        "agreeing": 0,
        "contradicted": False,
        "titles_contradict": False,
        "title_similarity": np.nan,
        "copies_differ": False,
        "neighbours_differ": 0.0,
    }
    return PairEvidence(**{name: np.array([value]) for name, value in (defaults | values).items()})


def weight(veto_numbers=False, **values):
    return float(pair_weights(evidence(**values), veto_numbers=veto_numbers)[0])


def test_print_alone_is_its_own_weight():
    assert weight() == 2.0


@pytest.mark.parametrize(
    "against",
    [
        {"has_text": True, "text_similarity": 0.0},
        {"conflicting": 2},
        {"contradicted": True},
        {"copies_differ": True},
        {"overlay": 0.5},
        {"title_similarity": 0.05},
        {"neighbours_differ": 0.6},
    ],
)
def test_evidence_against_a_pair_lowers_its_weight(against):
    assert weight(**against) < weight()


def test_text_joins_packs_whose_print_cannot_be_verified():
    assert weight(print_weight=0.0, has_text=True, text_similarity=0.8) == pytest.approx(0.8)
    assert weight(print_weight=0.0, has_text=True, text_similarity=0.3) == 0.0


def test_a_silhouette_joins_marks_and_parts_them():
    assert weight(print_weight=0.0, shape=0.995) > 3
    assert weight(print_weight=2.0, shape=0.4) == 0.0
    assert weight(print_weight=2.0, shape=0.95) == weight()


def test_a_silhouette_that_packs_share_does_not_make_them_one():
    assert weight(print_weight=0.0, shape=0.995, bare=False) == 0.0


def test_the_less_titles_have_in_common_the_less_a_pair_weighs():
    weights = [weight(title_similarity=similarity) for similarity in (0.1, 0.3, 0.5, 0.7)]
    assert weights == sorted(weights)
    assert weights[-1] == weight()


def test_a_veto_refuses_what_evidence_weakens():
    assert weight(print_weight=6.0, contradicted=True) > 0
    assert weight(print_weight=6.0, contradicted=True, veto_numbers=True) == 0.0


def test_weights_are_bounded():
    assert weight(print_weight=60.0) == LARGEST_WEIGHT
    assert weight(print_weight=0.5) == 0.0


def test_a_heavier_pair_is_more_probable():
    probability = probability_of(np.array([0.6, 1.0, 3.0, 6.0]))
    assert (np.diff(probability) > 0).all()
    assert 0 < probability[0] < probability[-1] < 1


def contradiction(**values):
    return float(contradiction_of(evidence(**values))[0])


def test_only_what_could_have_told_products_apart_speaks_for_one_product():
    assert contradiction() == 0.0
    assert contradiction(agreeing=1) < 0
    assert contradiction(title_similarity=0.8) < 0
    assert contradiction(agreeing=1, print_weight=0.0) == 0.0


def test_contradictions_add_up():
    assert contradiction(conflicting=1, agreeing=3) > 0
    both = contradiction(conflicting=1, titles_contradict=True, contradicted=True)
    assert (
        both
        > contradiction(titles_contradict=True, contradicted=True)
        > contradiction(conflicting=1)
    )


def test_print_that_states_another_number_is_no_sure_contradiction():
    assert contradiction(agreeing=1, contradicted=True) == 0.0


# Packs 0 to 4 are one variant, 5 to 9 the other; each pair was compared.
ALL_PAIRS = np.array(list(combinations(range(10), 2)))
ACROSS = (ALL_PAIRS[:, 0] < 5) & (ALL_PAIRS[:, 1] >= 5)


def test_a_missed_contradiction_shows_in_the_neighbours():
    contradicting = ACROSS.copy()
    missed = np.flatnonzero(ACROSS)[0]
    contradicting[missed] = False
    disagreement = profile_disagreement(ALL_PAIRS, np.ones(len(ALL_PAIRS), bool), contradicting, 10)
    assert disagreement[missed] == 1.0
    assert disagreement[~ACROSS].max() < 0.2


def test_few_common_neighbours_say_nothing():
    pairs = ALL_PAIRS[(ALL_PAIRS < 7).all(axis=1)]
    contradicting = (pairs[:, 0] < 5) & (pairs[:, 1] >= 5)
    assert not profile_disagreement(pairs, np.ones(len(pairs), bool), contradicting, 10).any()


def test_no_pairs_at_all():
    nothing = np.zeros(0, bool)
    assert len(profile_disagreement(np.zeros((0, 2), np.int64), nothing, nothing, 3)) == 0


def simulated(skill, share, seed=0, verified=600, others=6000, plain=3000):
    """Likenesses of candidates by an encoder of some skill (deviates between the two kinds), and
    the truth of the plain ones.
    """
    random = np.random.default_rng(seed)
    truth = random.random(plain) < share
    return (
        random.normal(skill, 1, verified),
        random.normal(0, 1, others),
        random.normal(np.where(truth, skill, 0.0), 1),
        truth,
    )


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("skill", [2.0, 4.0])
def test_probabilities_are_the_shares_of_true_pairs(skill, share):
    verified, others, plain, truth = simulated(skill, share)
    probability = evidence_model.probability_of(plain_log_odds(verified, others, plain))
    assert probability.mean() == pytest.approx(truth.mean(), abs=0.05)
    for low, high in ((0.0, 0.2), (0.2, 0.8), (0.8, 1.0)):
        chosen = (probability >= low) & (probability <= high)
        if chosen.sum() >= 100:
            assert truth[chosen].mean() == pytest.approx(probability[chosen].mean(), abs=0.12)


def test_a_near_perfect_encoder_is_believed():
    verified, others, plain, truth = simulated(6.0, 0.1)
    accepted = plain_log_odds(verified, others, plain) > 0
    assert truth[accepted].mean() > 0.97 and accepted[truth].mean() > 0.97


def test_an_encoder_that_knows_nothing_joins_nothing():
    verified, others, plain, _ = simulated(0.0, 0.1)
    assert not (plain_log_odds(verified, others, plain) > 0).any()


def test_some_true_pairs_among_the_others_make_it_careful_only():
    verified, others, plain, truth = simulated(4.0, 0.1)
    mixed = np.concatenate([others, np.random.default_rng(5).normal(4, 1, 600)])
    clean, careful = (plain_log_odds(verified, them, plain) for them in (others, mixed))
    assert (careful <= clean + 0.5).all()
    assert truth[careful > 0].mean() > 0.9


def test_more_alike_is_never_less_likely():
    verified, others, plain, _ = simulated(2.0, 0.1)
    odds = plain_log_odds(verified, others, np.sort(plain))
    assert (np.diff(odds) >= -1e-12).all()


@pytest.mark.parametrize(
    "few", [{"verified": FEWEST_EXAMPLES - 1}, {"others": FEWEST_EXAMPLES - 1}, {"plain": 0}]
)
def test_too_few_examples_say_nothing(few):
    verified, others, plain, _ = simulated(2.0, 0.1, **few)
    assert plain_log_odds(verified, others, plain) is None


def examined(alike, print_weight, bare, **changes):
    """Candidates of which only likeness, print and plainness are known."""
    count = len(alike)
    nothing, no = np.full(count, np.nan), np.zeros(count, bool)
    known = {
        "cosine": alike,
        "print_weight": print_weight,
        "overlay": nothing,
        "shape": nothing,
        "bare": bare,
        "has_text": no,
        "text_similarity": nothing,
        "conflicting": np.zeros(count, np.int64),
        "agreeing": np.zeros(count, np.int64),
        "contradicted": no,
        "titles_contradict": no,
        "title_similarity": nothing,
        "copies_differ": no,
        "neighbours_differ": np.zeros(count),
    }
    pairs = np.zeros((count, 2), np.int64)
    return Examined(
        Candidates(pairs, pd.DataFrame(index=range(count)), bare),
        None,
        None,
        PairEvidence(**{**known, **changes}),
        {"encoder_above": alike},
    )


def test_only_pairs_with_nothing_to_compare_and_no_contradiction_are_judged_anew():
    verified, others, plain, _ = simulated(6.0, 0.3, plain=500)
    alike = np.concatenate([verified, others, plain])
    kinds = np.repeat([0, 1, 2], [len(verified), len(others), len(plain)])
    refused = (kinds == 2) & (np.arange(len(kinds)) % 5 == 0)
    looked_at = examined(
        alike, np.where(kinds == 0, 3.0, 0.0), kinds == 2, titles_contradict=refused
    )
    before = np.full(len(alike), -1.5)
    after = _with_plain_pairs(before, looked_at)
    np.testing.assert_array_equal(after[(kinds != 2) | refused], -1.5)
    assert (after[(kinds == 2) & ~refused] != -1.5).all()


def test_it_is_asked_for():
    assert MatchSettings().plain_pairs == "model"
    calibrated = MatchSettings(plain_pairs="calibrated")
    assert calibrated.fingerprint() != MatchSettings().fingerprint()
