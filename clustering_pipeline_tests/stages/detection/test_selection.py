"""Which boxes count and which is the main crop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages.detection import Detections, intersection_over_union, select

SETTINGS = CropSettings(padding=0)


def detections(*boxes, scores=None):
    scores = scores or [0.9] * len(boxes)
    count = len(boxes)
    array = np.array(boxes, np.float32).reshape(count, 4)
    return Detections(array, np.array(scores, np.float32), ("hộp",) * count, ("box",) * count)


def test_nothing_valid_is_the_whole_picture():
    (crop,) = select(Detections.none(), 100, 50, 0.1, SETTINGS)
    assert crop.box == (0, 0, 100, 50) and crop.is_whole_image and crop.score is None


@pytest.mark.parametrize(
    ("box", "score"),
    [
        ((10, 10, 14, 14), 0.9),  # too small a share of the picture
        ((0, 10, 100, 13), 0.9),  # too long
        ((10, 10, 60, 60), 0.05),  # too uncertain
        ((60, 10, 20, 60), 0.9),  # inside out
        ((200, 200, 300, 300), 0.9),  # outside
        ((np.nan, 0, 50, 50), 0.9),
    ],
)
def test_invalid_boxes_do_not_count(box, score):
    (crop,) = select(detections(box, scores=[score]), 100, 100, 0.1, SETTINGS)
    assert crop.is_whole_image


def test_the_main_crop_is_large_central_and_certain():
    crops = select(detections((0, 0, 30, 30), (30, 30, 75, 75)), 100, 100, 0.1, SETTINGS)
    assert [crop.box for crop in crops] == [(30, 30, 75, 75), (0, 0, 30, 30)]


def test_two_boxes_of_one_product_are_one_crop():
    crops = select(
        detections((10, 10, 60, 60), (11, 11, 61, 61), scores=[0.5, 0.8]), 100, 100, 0.1, SETTINGS
    )
    assert [crop.box for crop in crops] == [(11, 11, 61, 61)]


def test_padding_stays_inside_and_the_whole_frame_appears_once():
    crops = select(
        detections((1, 1, 99, 99), (3, 3, 97, 97)),
        100,
        100,
        0.1,
        CropSettings(padding=0.2, overlap=1.0),
    )
    assert [(crop.box, crop.is_whole_image) for crop in crops] == [((0, 0, 100, 100), True)]


def test_at_most_the_maximum_of_crops():
    boxes = [(x, y, x + 20, y + 20) for x in range(0, 100, 25) for y in range(0, 100, 25)]
    assert len(select(detections(*boxes), 100, 100, 0.1, CropSettings(maximum_crops=3))) == 3


def test_intersection_over_union():
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 0, 0]], float)
    assert intersection_over_union(others[0], others).tolist() == pytest.approx([1, 1 / 3, 0, 0])


coordinate = st.floats(-50, 250, width=32)


@given(st.lists(st.tuples(*[coordinate] * 4, st.floats(0, 1, width=32)), max_size=12), st.randoms())
def test_crops_lie_inside_and_do_not_depend_on_the_order_of_distinct_scores(rows, random):
    rows = list({row[4]: row for row in rows}.values())
    shuffled = random.sample(rows, len(rows))
    found = [
        select(
            detections(*(row[:4] for row in order), scores=[row[4] for row in order]),
            200,
            100,
            0.1,
            CropSettings(),
        )
        for order in (rows, shuffled)
    ]
    assert {crop.box for crop in found[0]} == {crop.box for crop in found[1]}
    for crop in found[0]:
        x0, y0, x1, y1 = crop.box
        assert 0 <= x0 < x1 <= 200 and 0 <= y0 < y1 <= 100
