"""Evidence of membership, and its share of truth."""

import numpy as np
import pytest

from clustering_pipeline.core.evidence_model import Curve, EvidenceModel
from clustering_pipeline.evaluation import brier_score, reliability
from clustering_pipeline.stages.clustering.belief import (
    ABSENT,
    belief,
    membership_evidence,
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
