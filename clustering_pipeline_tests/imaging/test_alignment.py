"""Comparing two products at the same place."""

import cv2
import numpy as np
import pytest

from clustering_pipeline.imaging import compare_aligned, prepare_frame

IDENTITY = np.eye(2, 3, dtype=np.float32)


def pack(colour=(200, 40, 60), text="ROSE", side=300):
    """A pack with print on a coloured band, before white."""
    pixels = np.full((side, side, 3), 250, np.uint8)
    cv2.rectangle(pixels, (60, 20), (240, 280), (245, 240, 230), -1)
    cv2.rectangle(pixels, (60, 150), (240, 240), colour, -1)
    cv2.putText(pixels, "BRAND", (75, 80), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (30, 30, 30), 3)
    cv2.putText(pixels, text, (85, 205), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (250, 250, 250), 3)
    return pixels


def difference(first, second, shares=IDENTITY, **options):
    return compare_aligned(prepare_frame(first), prepare_frame(second), shares, **options)


def test_a_pack_in_other_light_is_the_same():
    darker = np.clip(pack().astype(float) * (0.75, 0.72, 0.7) + 5, 0, 255).astype(np.uint8)
    found = difference(pack(), darker)
    assert found.correlation > 0.9
    assert found.worst_block > 0.8
    assert found.hue < 0.1
    assert found.chroma_cosine > 0.97
    assert found.patch < 5


def test_a_sibling_of_another_colour_keeps_its_print_and_changes_its_hue():
    found = difference(pack(), pack(colour=(60, 150, 40)))
    assert found.hue > 1
    assert found.chroma_cosine < 0.5
    assert found.patch > 20


def test_a_sibling_of_another_word_differs_in_one_block():
    found = difference(pack(), pack(text="MINT"))
    assert found.correlation > 0.5
    assert found.worst_block < 0.4
    assert found.hue < 0.05


def test_a_coloured_pack_differs_from_a_grey_one():
    found = difference(pack(), pack(colour=(120, 120, 120)))
    assert found.one_coloured > 0.1
    assert found.tint > 20


def test_either_order_gives_nearly_the_same():
    small = cv2.resize(pack(text="MINT"), (90, 90), interpolation=cv2.INTER_AREA)
    forward, backward = difference(pack(), small), difference(small, pack())
    for one, other in zip(forward, backward, strict=True):
        assert one == pytest.approx(other, abs=0.5, nan_ok=True)


def test_the_background_is_not_compared_where_the_product_is_known():
    mask = np.zeros((300, 300), bool)
    mask[20:281, 60:241] = True
    on_red = np.where(mask[..., None], pack(), np.array([180, 20, 20], np.uint8))
    known = compare_aligned(prepare_frame(pack(), mask), prepare_frame(on_red), IDENTITY)
    assert known.patch < 10
    assert difference(pack(), on_red).patch > 40
    assert np.isnan(known.outline)
    both = compare_aligned(prepare_frame(pack(), mask), prepare_frame(on_red, mask), IDENTITY)
    assert both.outline < 0.05


def test_without_a_background_what_surrounds_the_support_is_compared():
    other = pack()
    other[:, 245:] = (10, 120, 10)
    support = np.array([[0.25, 0.2], [0.75, 0.2], [0.25, 0.7], [0.75, 0.7]], np.float32)
    assert difference(pack(), other, support=support).patch < 5
    assert difference(pack(), other).patch > 30


def test_a_map_laid_on_a_part_covers_that_part():
    part = pack()[100:290, 40:260]
    shares = np.array([[300 / 220, 0, -40 / 220], [0, 300 / 190, -100 / 190]], np.float32)
    found = difference(pack(), part, shares)
    assert 0.3 < found.covered < 0.6
    assert found.correlation > 0.85


@pytest.mark.parametrize(
    "shares",
    [
        np.zeros((2, 3), np.float32),
        np.array([[1, 0, 3], [0, 1, 3]], np.float32),
        100 * np.eye(2, 3, dtype=np.float32),
    ],
)
def test_maps_that_overlap_nowhere_show_nothing(shares):
    found = difference(pack(), pack(), shares)
    assert found.cells == 0
    assert np.isnan(found.hue)


@pytest.mark.parametrize("size", [(240, 12), (12, 240), (3, 3), (31, 240)])
def test_thin_and_tiny_pictures_are_compared_or_refused(size):
    pixels = cv2.resize(pack(), size, interpolation=cv2.INTER_AREA)
    assert len(difference(pixels, pack())) == len(difference(pixels, pixels))
