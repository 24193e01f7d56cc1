"""What is drawn: readable, different where products differ, and decided by the seed."""

from itertools import pairwise

import numpy as np
import pytest

from clustering_pipeline.synthetic import (
    CARELESS,
    STUDIO,
    Pose,
    draw_marks,
    draw_products,
    draw_sellers,
    mark_mask,
    photograph,
    render_mark,
    studio_picture,
)
from clustering_pipeline.synthetic.lettering import STYLES, letter


@pytest.mark.parametrize("style", STYLES)
def test_vietnamese_marks_stand_over_and_under_the_letter(style: str):
    def first_and_last_inked_row(text: str) -> tuple[int, int]:
        rows = np.flatnonzero(letter(text, 60, style).max(axis=1) > 127)
        return int(rows[0]), int(rows[-1])

    # "đ" keeps every style on the same font: serif and script have unaccented letters only.
    (top, bottom), (marked_top, marked_bottom) = (
        first_and_last_inked_row("đoa"),
        first_and_last_inked_row("độẫ"),
    )
    assert marked_top < top
    assert marked_bottom > bottom + 3


def test_unaccented_and_accented_words_differ():
    assert not np.array_equal(letter("da", 40), letter("đá", 40))


def test_products_are_distinct_and_a_longer_draw_starts_the_same():
    products = draw_products(60, seed=5)
    facts = {(p.family, p.variant, p.volume, p.packs) for p in products}
    assert len(facts) == 60
    assert draw_products(20, seed=5) == products[:20]


def test_families_hold_near_variants_and_two_packs():
    products = draw_products(60, seed=0)
    assert len({product.family for product in products}) < 50
    assert {product.packs for product in products} == {1, 2}
    assert len({product.shape for product in products}) == 5


def test_every_shape_can_be_photographed_in_every_pose():
    seen = set()
    for product in draw_products(60):
        if (product.shape, product.packs) in seen:
            continue
        seen.add((product.shape, product.packs))
        for pose in (STUDIO, Pose(0.5, 300), CARELESS):
            picture = photograph(product, draw_sellers(1, all_decorated=True)[0], 4, pose)
            assert picture.dtype == np.uint8
            assert picture.ndim == 3
            assert 200 < max(picture.shape[:2]) <= pose.side
            assert picture.std() > 10


def test_photograph_is_decided_by_its_seed():
    product, seller = draw_products(1)[0], draw_sellers(3)[2]
    first = photograph(product, seller, 8)
    assert np.array_equal(first, photograph(product, seller, 8))
    assert not np.array_equal(first, photograph(product, seller, 9))


def test_studio_pictures_of_near_variants_differ():
    products = draw_products(60)
    for one, other in pairwise(products):
        if one.family == other.family:
            assert not np.array_equal(studio_picture(one), studio_picture(other))


def test_sellers_repeat_their_decoration():
    seller = draw_sellers(1, all_decorated=True)[0]
    assert seller.has_frame
    assert seller.stickers
    one, other = (photograph(product, seller, 1, STUDIO) for product in draw_products(2))
    if one.shape == other.shape:
        assert np.array_equal(one[:4], other[:4])


def test_marks_are_distinct_and_rendered_in_other_colours():
    marks = draw_marks(30)
    masks = [mark_mask(mark, 64) for mark in marks]
    for index, mask in enumerate(masks):
        assert 0.01 < (mask > 127).mean() < 0.9
        assert all(np.abs(mask.astype(int) - other).mean() > 2 for other in masks[index + 1 :])
    assert not np.array_equal(render_mark(marks[0], 1), render_mark(marks[0], 2))
