"""One pair judged outside any category."""

import dataclasses

import numpy as np
import pytest

from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stages.features import extract
from clustering_pipeline.stages.matching import compare_pair
from clustering_pipeline.synthetic import draw_products, photograph

SETTINGS = MatchSettings()


@pytest.fixture(scope="module")
def photographs():
    first, *_, other = draw_products(12, seed=9)
    return [
        extract(photograph(product, None, seed))[0]
        for product, seed in ((first, 1), (first, 2), (other, 1))
    ]


def test_two_photographs_of_one_product_are_likelier_one_than_two(photographs):
    judged = compare_pair(*photographs[:2], SETTINGS)
    assert judged.probability > 0.5
    assert judged.matched_points >= SETTINGS.verification.smallest


def test_other_products_are_refused(photographs):
    assert compare_pair(photographs[0], photographs[2], SETTINGS).weight == 0


def test_a_bundle_is_not_the_single_pack(photographs):
    first, second = photographs[:2]
    bundle = dataclasses.replace(second, copies=2)
    assert (
        compare_pair(first, bundle, SETTINGS).weight
        < compare_pair(first, second, SETTINGS).weight / 2
    )


def test_marks_without_print_are_judged_by_their_silhouette(photographs):
    shape = np.zeros((64, 64), np.uint8)
    shape[26:38] = shape[:, 26:38] = 255
    nothing = {
        name: getattr(photographs[0], name)[:0]
        for name in ("points", "scales", "angles", "descriptors")
    }
    cross = dataclasses.replace(photographs[0], silhouette=shape, **nothing)
    corner = dataclasses.replace(
        cross,
        silhouette=np.where(np.tri(64, dtype=bool) & (np.arange(64) < 16), 255, 0).astype(np.uint8),
    )
    assert compare_pair(cross, cross, SETTINGS).weight > 1
    assert compare_pair(cross, corner, SETTINGS).weight == 0
