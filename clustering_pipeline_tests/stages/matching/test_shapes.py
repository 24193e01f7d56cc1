import cv2
import numpy as np
import pytest

from clustering_pipeline.stages.features import extract
from clustering_pipeline.stages.matching.shapes import (
    coarse_shape,
    plain_pairs,
    shape_agreement,
    shape_candidates,
    turned_shape,
)
from clustering_pipeline.synthetic import draw_marks, render_mark


@pytest.fixture(scope="module")
def renderings():
    """Two renderings each of a star, a swoosh, a crescent and a fruit."""
    marks = [mark for mark in draw_marks(10, 21) if mark.number in (0, 3, 4, 5)]
    return [[extract(render_mark(mark, seed))[0] for seed in (3, 4)] for mark in marks]


def test_renderings_of_one_mark_agree_and_those_of_two_do_not(renderings):
    shapes = [[turned_shape(one) for one in both] for both in renderings]
    same = [shape_agreement(*both) for both in shapes]
    other = [
        shape_agreement(shapes[i][0], shapes[j][1]) for i in range(4) for j in range(4) if i != j
    ]
    assert min(same) > 0.95 > 0.9 > max(other)


def test_agreement_does_not_depend_on_the_side(renderings):
    first, second = turned_shape(renderings[0][0]), turned_shape(renderings[1][0])
    assert shape_agreement(first, second) == shape_agreement(second, first)


def disc(side=300):
    picture = np.full((side, side, 3), 255, np.uint8)
    return extract(cv2.circle(picture, (side // 2, side // 2), side // 3, (200, 30, 30), -1))[0]


def test_a_disc_tells_nothing_apart(renderings):
    assert turned_shape(disc()) is None
    assert np.isnan(shape_agreement(None, turned_shape(renderings[0][0])))


def test_a_crop_without_a_silhouette_has_no_shape():
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    features = extract(noise)[0]
    assert turned_shape(features) is None
    assert coarse_shape(features) is None
    assert len(shape_candidates(np.array([0, 1]), [None, None], 5)) == 0


def test_candidates_are_the_nearest_silhouettes(renderings):
    shapes = [coarse_shape(one) for both in renderings for one in both]
    pairs = shape_candidates(np.arange(8) * 10, shapes, 1)
    assert {(0, 10), (20, 30), (40, 50), (60, 70)} <= {tuple(pair) for pair in pairs.tolist()}


def test_a_noisy_picture_of_a_mark_is_still_plain_but_two_packs_are_not():
    keypoints, pairs = np.array([50, 300, 190, 400, 10]), np.array([[0, 1], [1, 2], [0, 2], [3, 4]])
    assert plain_pairs(keypoints, pairs, 200).tolist() == [True, False, True, False]
