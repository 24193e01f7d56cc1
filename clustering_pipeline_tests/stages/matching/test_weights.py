import numpy as np
import pytest

from clustering_pipeline.stages.matching.weights import (
    LARGEST_WEIGHT,
    PairEvidence,
    contradiction_of,
    pair_weights,
    probability_of,
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
