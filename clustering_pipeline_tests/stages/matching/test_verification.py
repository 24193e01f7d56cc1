import numpy as np
import pytest

from clustering_pipeline.settings import VerificationSettings
from clustering_pipeline.stages.features import LocalFeatures, extract
from clustering_pipeline.stages.matching import verify
from clustering_pipeline.synthetic import (
    STUDIO,
    draw_products,
    draw_sellers,
    photograph,
    studio_picture,
)

SETTINGS = VerificationSettings()


@pytest.fixture(scope="module")
def families():
    first, *_, other = draw_products(12, seed=9)
    return first, other


@pytest.fixture(scope="module")
def two_photographs(families):
    return [extract(photograph(families[0], None, seed))[0] for seed in (1, 2)]


def test_two_photographs_of_one_product_are_verified(two_photographs):
    evidence = verify(*two_photographs, SETTINGS)
    assert evidence.match is not None
    assert len(evidence.match) >= SETTINGS.smallest
    assert 0 < evidence.cells <= 64
    assert 0 < evidence.centre_agreement <= 1


def test_inliers_are_one_to_one(two_photographs):
    match = verify(*two_photographs, SETTINGS).match
    assert len(set(match.first.tolist())) == len(set(match.second.tolist())) == len(match)


def test_the_map_takes_inliers_to_their_partners(two_photographs):
    first, second = two_photographs
    match = verify(first, second, SETTINGS).match
    mapped = first.points[match.first] @ match.matrix[:, :2].T + match.matrix[:, 2]
    assert (
        np.linalg.norm(mapped - second.points[match.second], axis=1).max()
        <= SETTINGS.tolerance + 1e-3
    )


def test_products_of_other_brands_are_not_verified(families):
    first, other = (extract(studio_picture(product, side=360))[0] for product in families)
    assert verify(first, other, SETTINGS).cells <= 4


def test_a_known_affine_map_is_recovered(families):
    picture = studio_picture(families[0], side=360)
    turned = np.ascontiguousarray(np.rot90(picture, 2))
    evidence = verify(extract(picture)[0], extract(turned)[0], SETTINGS)
    np.testing.assert_allclose(evidence.share_matrix, [[-1, 0, 1], [0, -1, 1]], atol=0.03)


def test_the_same_input_gives_the_same_evidence(two_photographs):
    first, second = (verify(*two_photographs, SETTINGS) for _ in range(2))
    np.testing.assert_array_equal(first.match.first, second.match.first)
    np.testing.assert_array_equal(first.match.matrix, second.match.matrix)


def test_a_picture_without_keypoints_matches_nothing(two_photographs):
    empty, _ = extract(np.full((50, 50, 3), 255, np.uint8))
    assert verify(empty, two_photographs[0], SETTINGS).match is None
    assert verify(empty, empty, SETTINGS).match is None


def test_a_sellers_frame_alone_has_no_centre(families):
    seller = draw_sellers(1, seed=3, all_decorated=True)[0]
    first, second = (extract(photograph(product, seller, 5, STUDIO))[0] for product in families)
    assert verify(first, second, SETTINGS).centre_agreement < 0.25


def _shelf_picture(product_shift, background):
    """A product of 40 keypoints in the middle, before 100 keypoints of one shelf."""
    rng = np.random.default_rng(3)
    around = rng.uniform(0, 2 * np.pi, 100)
    shelf = np.column_stack([180 + 170 * np.cos(around), 180 + 170 * np.sin(around)])
    points = np.concatenate([rng.uniform(130, 230, (40, 2)) + product_shift, shelf]).astype(
        np.float32
    )
    angles, scales = np.zeros(140, np.float32), np.full(140, 4, np.float32)
    descriptors = rng.integers(0, 80, (140, 128)).astype(np.uint8)
    silhouette = np.zeros((48, 48), np.uint8) if background else np.full((48, 48), 255, np.uint8)
    thumbnail = np.zeros((32, 32, 3), np.uint8)
    return LocalFeatures(
        (0, 0, 360, 360), 360, 360, points, scales, angles, descriptors, thumbnail, silhouette
    )


@pytest.mark.parametrize(("background", "shift"), [(True, (30.0, -20.0)), (False, (0.0, 0.0))])
def test_before_a_busy_background_the_map_is_that_of_the_product(background, shift):
    match = verify(
        _shelf_picture((0, 0), background), _shelf_picture((30, -20), background), SETTINGS
    ).match
    np.testing.assert_allclose(match.matrix[:, 2], shift, atol=1)
