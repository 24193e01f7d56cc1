"""Evidence of membership, its share of truth, and how far confidences err by people's answers."""

import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core.corrections import (
    Correction,
    Different,
    ListingReference,
    Name,
    RecordedCorrection,
    Same,
)
from clustering_pipeline.core.evidence_model import Curve, EvidenceModel
from clustering_pipeline.evaluation import WRONG, brier_score, reliability
from clustering_pipeline.stages.clustering.confidence import (
    ABSENT,
    FEWEST_ANSWERS,
    answered_pairs,
    belief,
    confidence_shift,
    membership_evidence,
    shifted,
    true_share,
)
from clustering_pipeline.stages.clustering.problem import make_edges

_LABELS = np.array([0, 0, 0, 1, 1, 2])
_ODDS = make_edges(
    np.array([0, 1, 3, 2, 0]),
    np.array([1, 2, 4, 3, 5]),
    np.array([3.0, 1.0, 2.0, 0.5, -2.0]),
    np.zeros(5),
    6,
)


def test_membership_is_told_by_the_pairs_within_and_the_strongest_outside():
    found = membership_evidence(_LABELS, _ODDS)

    assert found["best"][:5] == pytest.approx([3, 3, 1, 2, 2])
    assert found["second"][:3] == pytest.approx([ABSENT, 1, ABSENT])
    assert np.isnan(found["second"][3:]).all()
    assert found["near"][:5] == pytest.approx([(3 + ABSENT) / 2, 2, (1 + ABSENT) / 2, 2, 2])
    assert found["mean"][:5] == pytest.approx([3, 2, 1, 2, 2])
    assert found["weakest"][:3] == pytest.approx([(1 + ABSENT) / 2] * 3)
    assert found["margin"][:5] == pytest.approx([5, 3 - ABSENT, 0.5, 1.5, 2 - ABSENT])
    assert np.isnan(found["best"][5])


def test_pairs_of_a_large_cluster_that_were_never_compared_say_nothing():
    ring = np.arange(40)
    neighbours = [(ring + step) % 40 for step in (1, 2, 3)]
    odds = make_edges(
        np.tile(ring, 3), np.concatenate(neighbours), np.full(120, 2.0), np.zeros(120), 40
    )
    found = membership_evidence(np.zeros(40, np.int64), odds)
    for name in ("near", "mean", "weakest"):
        assert found[name] == pytest.approx(np.full(40, 2.0))


def test_who_is_alone_is_sure_to_belong():
    model = EvidenceModel(0.0, {"best": Curve(np.array([0.0, 4.0]), np.array([-2.0, 2.0]))})
    assert belief(_LABELS, _ODDS, model) == pytest.approx(
        [0.7310586, 0.7310586, 0.2689414, 0.5, 0.5, 1.0]
    )


def test_true_share_leaves_the_item_itself_out():
    truth = np.array(["a", "a", "b", "c", "d", "a"])
    assert true_share(_LABELS, truth)[:5] == pytest.approx([0.5, 0.5, 0, 0, 0])
    assert np.isnan(true_share(_LABELS, truth)[5])


def test_calibration_error_is_the_mean_distance_of_said_and_true():
    curve = reliability(np.array([0.15, 0.15, 0.95, 0.95]), np.array([0.0, 1.0, 1.0, 1.0]))
    assert curve.said == pytest.approx([0.15, 0.95])
    assert curve.true == pytest.approx([0.5, 1.0])
    assert curve.error == pytest.approx((0.35 + 0.05) / 2)
    assert brier_score(np.array([0.5]), np.array([1.0])) == 0.25


def simulated(shift, count, seed):
    """Confidences that are too small by `shift` in the logit, and answers by the truth."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.1, 0.95, count)
    truth = 1 / (1 + np.exp(-(np.log(confidence / (1 - confidence)) + shift)))
    same = (random.random(count) < truth) ^ (random.random(count) < WRONG)
    return confidence, same


@pytest.mark.parametrize("shift", [-1.5, 0.0, 1.5])
def test_the_shift_is_found_from_many_answers(shift):
    found = [confidence_shift(*simulated(shift, 400, seed)) for seed in range(10)]
    assert np.mean(found) == pytest.approx(shift, abs=0.2)
    assert np.std(found) < 0.4


def test_a_hundred_answers_mend_confidences_that_promise_too_much():
    before, after = [], []
    for seed in range(10):
        confidence, same = simulated(-1.5, 5000, seed)
        shift = confidence_shift(confidence[:100], same[:100])
        mended = shifted(pd.Series(confidence), shift).to_numpy()
        before.append(confidence.mean() - same.mean())
        after.append(mended.mean() - same.mean())
    assert np.mean(before) > 0.2
    assert np.abs(after).mean() < 0.06


@pytest.mark.parametrize("same", [True, False])
def test_few_answers_change_nothing_and_more_of_one_kind_change_more(same):
    shifts = [
        confidence_shift([0.5] * count, [same] * count)
        for count in (FEWEST_ANSWERS - 1, FEWEST_ANSWERS, 60, 200)
    ]
    assert shifts[0] == 0.0
    signed = np.array(shifts) * (1 if same else -1)
    assert (np.diff(signed) > 0).all()


def test_the_order_of_confidences_stays_and_what_is_certain_stays_certain():
    confidence = pd.Series([0.0, 0.2, 0.5, 0.9, 0.9999, 1.0])
    for shift in (-3.0, -0.5, 0.0, 0.5, 3.0):
        moved = shifted(confidence, shift)
        assert moved.is_monotonic_increasing and moved.between(0, 1).all()
        assert moved.iloc[[0, -1]].tolist() == [0.0, 1.0]
        assert np.sign(moved.iloc[2] - 0.5) == np.sign(shift)


def recorded(*statements):
    """Statements with the moment at which each was made."""
    return [
        RecordedCorrection(number, Correction(said, "Lan", "kem", moment))
        for number, (said, moment) in enumerate(statements, 1)
    ]


def pair(kind, a, b):
    return kind(ListingReference(a), ListingReference(b))


def test_only_answers_about_pictures_of_one_cluster_count():
    """Rows a to d are one cluster, of which c and d share a picture; e is another's."""
    table = pd.DataFrame({"label": [0, 0, 0, 0, 1], "node": [0, 1, 2, 2, 3]})
    listings_of = {name: [(row, frozenset())] for row, name in enumerate("abcde")}
    said = recorded(
        (pair(Same, "a", "b"), "1"),
        (pair(Different, "a", "c"), "2"),
        (pair(Same, "c", "d"), "3"),
        (pair(Different, "d", "e"), "4"),
        (Name(1, "Kem"), "5"),
    )
    assert answered_pairs(said, listings_of, table) == [(0, 1, True), (0, 2, False)]


def test_pictures_that_are_split_off_answer_no_question():
    table = pd.DataFrame({"label": [0, 0, 0], "node": [0, 1, 2]})
    listings_of = {name: [(row, frozenset())] for row, name in enumerate("abc")}
    together = recorded((pair(Different, "a", "b"), "1"), (pair(Different, "a", "c"), "1"))
    apart = recorded((pair(Different, "a", "b"), "1"), (pair(Different, "a", "c"), "2"))
    assert answered_pairs(together, listings_of, table) == []
    assert len(answered_pairs(apart, listings_of, table)) == 2


@pytest.mark.parametrize(("certain", "same"), [(0.99, False), (0.01, True)])
def test_answers_that_all_contradict_are_believed(certain, same):
    shift = confidence_shift([certain] * 2000, [same] * 2000)
    [confidence] = shifted(pd.Series([certain]), shift)
    assert confidence > 0.95 if same else confidence < 0.05


def test_an_answer_about_ids_on_many_rows_is_one_answer():
    rows = 30
    table = pd.DataFrame({"label": 0, "node": range(rows)})
    listings_of = {
        name: [(row, frozenset()) for row in range(rows)[half::2]] for half, name in enumerate("ab")
    }
    said = recorded((pair(Different, "a", "b"), "1"), (pair(Same, "a", "b"), "2"))
    assert answered_pairs(said, listings_of, table) == [(0, 1, True)]


def pairs_of(world, count):
    for number in range(count):
        for side in "ab":
            world.listing(f"{number}{side}", f"{number}{side}")
        world.match(f"{number}a", f"{number}b", probability=0.7)
    return world


@pytest.mark.parametrize(("kind", "direction"), [("same", 1), ("different", -1)])
def test_answers_move_the_confidence_of_clusters_nobody_was_asked_about(
    world, context, kind, direction
):
    pairs_of(world, FEWEST_ANSWERS + 2)
    before = world.group(context)
    for number in range(FEWEST_ANSWERS):
        world.correct(kind, f"{number}a", f"{number}b", time=f"moment {number}")
    after = world.group(context)
    assert before.facts["confidence_shift"] == 0.0
    assert np.sign(after.facts["confidence_shift"]) == direction
    unasked = [one.manifest["confidence"].iloc[-4:].to_numpy(float) for one in (before, after)]
    assert (np.sign(unasked[1] - unasked[0]) == direction).all()
    # What was said is certain, whatever the others are.
    assert kind == "different" or (after.manifest["confidence"].iloc[:-4] == 1).all()


def test_what_was_stated_at_once_moves_no_confidence(world, context):
    pairs_of(world, FEWEST_ANSWERS + 2)
    before = world.group(context).manifest["confidence"].iloc[-4:]
    for number in range(FEWEST_ANSWERS):
        world.correct("different", f"{number}a", f"{number}b")
    assert world.group(context).manifest["confidence"].iloc[-4:].equals(before)
