"""The additive evidence model: curves, missing evidence, and the fit."""

import numpy as np
import pytest

from clustering_pipeline.core import evidence_model
from clustering_pipeline.core.evidence_model import (
    Curve,
    EvidenceModel,
    Trees,
    prior_shift,
    probability_of,
    read_model,
)
from training.monotone_fit import Training, fit_mixed, fit_model, fit_trees

_MODEL = EvidenceModel(
    -2.0,
    {
        "print": Curve(np.array([0.0, 1.0, 3.0]), np.array([-1.0, 1.0, 2.0])),
        "hue": Curve(np.array([0.0, 0.5]), np.array([0.5, -3.0])),
    },
)


def test_log_odds_are_the_sum_of_interpolated_curves_and_flat_outside():
    features = {"print": np.array([0.5, 9.0, -1.0]), "hue": np.array([0.25, 0.0, 2.0])}
    assert _MODEL.log_odds(features, 3) == pytest.approx([-2 + 0 - 1.25, -2 + 2 + 0.5, -2 - 1 - 3])


def test_missing_evidence_is_neutral():
    features = {"print": np.array([2.0]), "hue": np.array([np.nan])}
    assert _MODEL.log_odds(features, 1) == pytest.approx(
        _MODEL.log_odds({"print": np.array([2.0])}, 1)
    )
    assert _MODEL.log_odds({}, 1) == pytest.approx([-2.0])


def test_a_model_survives_its_file():
    features = {"print": np.array([0.3]), "hue": np.array([0.1])}
    assert read_model(_MODEL.as_json()).log_odds(features, 1) == pytest.approx(
        _MODEL.log_odds(features, 1), abs=1e-4
    )


# Print beyond 1 is worth 2 where hues are alike, and nothing where they are not.
_TREES = Trees(
    names=("print", "hue"),
    roots=np.array([0]),
    feature=np.array([0, -1, 1, -1, -1]),
    threshold=np.array([1.0, 0, 0.5, 0, 0]),
    missing_left=np.array([True, True, False, True, True]),
    left=np.array([1, 0, 3, 0, 0]),
    right=np.array([2, 0, 4, 0, 0]),
    value=np.array([0.0, -1.0, 1.0, 2.0, 0.0]),
)


def test_trees_add_their_leaves_and_say_which_feature_did_it():
    model = EvidenceModel(-2.0, {}, trees=_TREES)
    features = {
        "print": np.array([0.5, 2.0, 2.0, 1.0, np.nan]),
        "hue": np.array([0.1, 0.1, 0.9, 0.9, 0.1]),
    }
    assert model.log_odds(features, 5).tolist() == [-3.0, 0.0, -2.0, -3.0, -3.0]
    told = model.contributions(features, 5)
    assert told["print"].tolist() == [-1.0, 1.0, 1.0, -1.0, -1.0]
    assert told["hue"].tolist() == [0.0, 1.0, -1.0, 0.0, 0.0]


def test_trees_are_asked_about_features_that_are_not_there():
    assert EvidenceModel(0.0, {}, trees=_TREES).log_odds({}, 2).tolist() == [-1.0, -1.0]


def test_many_pairs_are_judged_as_few_are(monkeypatch):
    model = EvidenceModel(_MODEL.base, _MODEL.curves, trees=_TREES)
    random = np.random.default_rng(0)
    features = {"print": random.uniform(0, 3, 10), "hue": random.uniform(0, 1, 10)}
    at_once = model.log_odds(features, 10)
    monkeypatch.setattr(evidence_model, "PAIR_BLOCK", 4)
    assert model.log_odds(features, 10).tolist() == at_once.tolist()


def test_trees_and_curves_survive_their_file():
    model = EvidenceModel(_MODEL.base, _MODEL.curves, trees=_TREES)
    features = {"print": np.array([0.3, 2.0]), "hue": np.array([0.1, np.nan])}
    again = read_model(model.as_json())
    assert again.log_odds(features, 2) == pytest.approx(model.log_odds(features, 2), abs=1e-4)
    assert again.as_json() == model.as_json()


def test_probabilities_do_not_overflow():
    assert probability_of(np.array([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]


def test_the_fit_is_monotone_calibrated_and_finds_the_generating_odds():
    random = np.random.default_rng(1)
    first, second = random.uniform(-2, 2, 20_000), random.uniform(-2, 2, 20_000)
    second[::3] = np.nan
    odds = 2 * first - 1.5 * np.nan_to_num(second) - 1
    same = random.random(20_000) < probability_of(odds)
    noise = random.normal(size=20_000)

    model = fit_model(
        Training({"a": first, "b": second, "c": noise}, same, np.ones(20_000)),
        {"a": 1, "b": -1, "c": 1},
    )

    assert (np.diff(model.curves["a"].values) >= 0).all()
    assert (np.diff(model.curves["b"].values) <= 0).all()
    assert np.std(model.curves["c"](noise)) < 0.15
    found = model.log_odds({"a": first, "b": second, "c": noise}, 20_000)
    assert np.abs(found - odds).mean() < 0.25
    assert probability_of(found).mean() == pytest.approx(same.mean(), abs=0.005)


def _interacting() -> tuple[Training, np.ndarray]:
    """Pairs whose print counts only where their kinds agree, which no sum of curves can say."""
    random = np.random.default_rng(4)
    printed, kind = random.uniform(0, 1, 8000), random.choice([0.0, 1.0, np.nan], 8000)
    odds = np.where(kind == 0, -4.0, 8 * printed - 4)
    same = random.random(8000) < probability_of(odds)
    return Training({"a": printed, "b": kind}, same, np.ones(8000)), odds


def test_trees_learn_what_a_feature_is_worth_beside_another():
    training, odds = _interacting()
    signs = {"a": 1, "b": 1}
    features = training.features
    off = {
        name: np.abs(model.log_odds(features, 8000) - odds).mean()
        for name, model in (
            ("curves", fit_model(training, signs)),
            ("mixed", fit_mixed(training, signs)),
            ("trees", EvidenceModel(0.0, {}, trees=fit_trees(training, signs))),
        )
    }
    assert off["trees"] < off["mixed"] < off["curves"]


def test_trees_are_grown_without_a_feature_that_no_pair_has():
    training, _ = _interacting()
    unread = Training(
        {**training.features, "c": np.full(8000, np.nan)}, training.same, training.weights
    )
    assert fit_trees(unread, {"a": 1, "b": 1, "c": 1}).names == ("a", "b")


def test_trees_never_turn_against_a_sign():
    training, _ = _interacting()
    model = EvidenceModel(0.0, {}, trees=fit_trees(training, {"a": -1, "b": 1}))
    steps = np.linspace(0, 1, 50)
    for kind in (0.0, 1.0, np.nan):
        found = model.log_odds({"a": steps, "b": np.full(50, kind)}, 50)
        assert (np.diff(found) <= 1e-9).all()


def test_trees_take_what_goes_neither_way_as_context_and_curves_leave_it():
    random = np.random.default_rng(5)
    told, kind = random.uniform(0, 1, 8000), random.choice([0.0, 1.0], 8000)
    # Of one kind of pictures the feature tells everything, of the other nothing.
    odds = np.where(kind == 1, 8 * told - 4, 0.0)
    features = {"told": told, "context_kind": kind}
    same = (random.random(8000) < probability_of(odds)).astype(float)
    model = fit_mixed(Training(features, same, np.ones(8000)), {"told": 1, "context_kind": 0})
    assert list(model.curves) == ["told"]
    asked = {"told": np.array([0.0, 1.0] * 2), "context_kind": np.array([0.0, 0.0, 1.0, 1.0])}
    steps = np.diff(model.log_odds(asked, 4))[[0, 2]]
    assert steps[0] < 3 < 4 < steps[1]


def test_a_curve_of_the_wrong_direction_stays_flat():
    random = np.random.default_rng(2)
    value = random.normal(size=4000)
    same = random.random(4000) < probability_of(-value)
    model = fit_model(Training({"a": value}, same, np.ones(4000)), {"a": 1})
    assert np.ptp(model.curves["a"].values) < 1e-6


def test_the_share_of_true_pairs_of_another_mixture_is_found():
    random = np.random.default_rng(0)
    for share in (0.02, 0.2, 0.5):
        same = random.random(20_000) < share
        # Two normals with distance 4 and variance 4 have the log likelihood ratio of the value
        # itself.
        ratio = random.normal(np.where(same, 2.0, -2.0), 2.0)
        found = np.log(0.1 / 0.9) + prior_shift(ratio + np.log(0.1 / 0.9), 0.1)
        assert 1 / (1 + np.exp(-found)) == pytest.approx(share, abs=0.015)


def test_few_pairs_hardly_move_the_share():
    assert abs(prior_shift(np.full(3, 8.0), 0.1)) < 0.2
    assert prior_shift(np.zeros(0), 0.1) == pytest.approx(0)
