"""Plain pairs judged by an encoder, on simulated categories whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core.evidence_model import probability_of
from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stages.matching.judging import Candidates, Examined, _with_plain_pairs
from clustering_pipeline.stages.matching.plain_pairs import FEWEST, plain_log_odds
from clustering_pipeline.stages.matching.weights import PairEvidence


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
    probability = probability_of(plain_log_odds(verified, others, plain))
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


@pytest.mark.parametrize("few", [{"verified": FEWEST - 1}, {"others": FEWEST - 1}, {"plain": 0}])
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
