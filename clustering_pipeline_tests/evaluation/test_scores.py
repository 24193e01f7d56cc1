import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import pair_confusion_matrix

from clustering_pipeline.evaluation import score_clusters

labels = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=40)


def bcubed_by_definition(true, predicted):
    same = np.equal.outer(true, true)
    together = np.equal.outer(predicted, predicted)
    both = (same & together).sum(axis=1)
    return (both / together.sum(axis=1)).mean(), (both / same.sum(axis=1)).mean()


def test_the_same_grouping_under_other_names_is_perfect():
    scores = score_clusters(["a", "a", "b"], [7, 7, 3])
    assert all(value == pytest.approx(1) for name, value in scores.items() if name != "mixed_share")
    assert scores["mixed_share"] == 0


@given(labels)
def test_bcubed_is_its_definition(pairs):
    true, predicted = np.array(pairs).T
    precision, recall = bcubed_by_definition(true, predicted)
    scores = score_clusters(true.tolist(), predicted.tolist())
    assert scores["bcubed_precision"] == pytest.approx(precision)
    assert scores["bcubed_recall"] == pytest.approx(recall)


@given(labels)
def test_pairwise_counts_pairs(pairs):
    true, predicted = np.array(pairs).T
    (_, false_positive), (false_negative, true_positive) = pair_confusion_matrix(true, predicted)
    scores = score_clusters(true.tolist(), predicted.tolist())
    if true_positive + false_positive:
        assert scores["pairwise_precision"] == pytest.approx(
            true_positive / (true_positive + false_positive)
        )
    if true_positive + false_negative:
        assert scores["pairwise_recall"] == pytest.approx(
            true_positive / (true_positive + false_negative)
        )


@pytest.mark.parametrize("noise", [-1, "-1", "", None, " -1 ", float("nan"), -1.0])
def test_noise_labels_are_singletons(noise):
    assert score_clusters(["a", "a", "b"], [noise] * 3) == score_clusters(
        ["a", "a", "b"], [1, 2, 3]
    )
    assert score_clusters([noise] * 3, [1, 2, 3])["bcubed_f1"] == 1


def test_one_cluster_of_everything_keeps_recall_and_loses_precision():
    scores = score_clusters(["a", "a", "b", "b"], [1, 1, 1, 1])
    assert scores["pairwise_recall"] == 1
    assert scores["pairwise_precision"] == pytest.approx(2 / 6)
    assert scores["bcubed_precision"] == 0.5
    assert scores["mixed_share"] == 1


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 true labels against 1"):
        score_clusters([1, 2], [1])
