import numpy as np
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.imaging import load_crop, pack_mask, to_jpeg
from clustering_pipeline.settings import LocalFeatureSettings
from clustering_pipeline.stages.features import extract, pack, product_box, unpack
from clustering_pipeline.stages.features.stage import _extract_batch
from clustering_pipeline.storage import BlobStore
from clustering_pipeline.synthetic import draw_marks, draw_products, render_mark, studio_picture


@pytest.fixture(scope="module")
def picture():
    return studio_picture(draw_products(1, seed=5)[0], side=320)


def test_the_product_box_encloses_what_differs_from_the_background():
    crop = np.full((120, 200, 3), 250, np.uint8)
    crop[30:90, 50:120] = (20, 60, 160)
    x0, y0, x1, y1 = product_box(crop)
    assert x0 <= 50 <= x0 + 4
    assert y0 <= 30 <= y0 + 4
    assert 120 <= x1 <= 124
    assert 90 <= y1 <= 94


def test_specks_do_not_widen_the_box():
    crop = np.full((120, 200, 3), 250, np.uint8)
    crop[30:90, 50:120] = 0
    crop[5:8, 190:193] = 0
    assert product_box(crop)[2] < 130


def test_a_busy_background_has_no_box():
    crop = np.random.default_rng(0).integers(0, 255, (100, 100, 3)).astype(np.uint8)
    assert product_box(crop) is None


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 500, 3), (40, 40, 3)])
def test_an_empty_picture_has_no_keypoints_and_no_silhouette(shape):
    features, colour = extract(np.full(shape, 200, np.uint8))
    assert len(features) == 0
    assert not features.silhouette.any()
    assert np.linalg.norm(colour) == pytest.approx(1)


def test_keypoints_lie_within_the_frame_and_are_limited(picture):
    features, _ = extract(picture, LocalFeatureSettings(keypoints=100))
    assert 0 < len(features) <= 100
    assert (features.points >= 0).all()
    assert (features.points <= (features.width, features.height)).all()
    assert max(features.width, features.height) == 360


def test_packing_gives_back_the_same_features(picture):
    features, _ = extract(picture)
    again = unpack(pack(features))
    assert pack(again) == pack(features)
    np.testing.assert_array_equal(again.descriptors, features.descriptors)
    assert (again.box, again.width, again.height, again.copies) == (
        features.box,
        features.width,
        features.height,
        1,
    )


@pytest.mark.parametrize("content", [b"", b"LFT9" + bytes(100), b"\x89PNG"])
def test_other_bytes_are_refused_with_the_remedy(content):
    with pytest.raises(StageError, match="--force"):
        unpack(content)


@pytest.mark.parametrize("mask", [False, True])
def test_places_in_a_large_picture_are_in_its_own_pixels(tmp_path, mask):
    large = studio_picture(draw_products(1, seed=5)[0], side=1700)
    blobs = BlobStore(str(tmp_path))
    picture, box = blobs.put(to_jpeg(large, 95)), (20, 10, 1690, 1680)
    shown = np.ones((1670, 1670), bool)
    shown[:, 1600:] = False
    row = ("key", "crop", picture, box, blobs.put(pack_mask(shown)) if mask else None, None)
    found = _extract_batch([row], blobs, LocalFeatureSettings())[0]
    expected = product_box(load_crop(blobs, picture, box))
    edges = [found[name] for name in ("x0", "y0", "x1", "y1")]
    assert np.abs(np.array(edges) - expected).max() <= 12
    features = unpack(blobs.get(found["features"]))
    assert list(features.box) == edges
    assert max(features.width, features.height) == 360


def test_a_bundle_shows_its_pack_twice(picture):
    pair = np.concatenate([picture, picture], axis=1)
    trio = np.concatenate([picture, picture, picture], axis=1)
    assert extract(picture)[0].copies == 1
    assert extract(pair)[0].copies == 2
    assert extract(trio)[0].copies >= 2


def test_a_mark_keeps_its_silhouette_in_other_colours():
    marks = draw_marks(4, seed=2)
    shapes = [
        [extract(render_mark(mark, seed))[0].silhouette > 127 for seed in (1, 2)] for mark in marks
    ]
    for first, second in shapes:
        assert (first == second).mean() > 0.7


def test_a_damaged_mask_leaves_its_crop_without_features(tmp_path):
    blobs = BlobStore(str(tmp_path))
    picture = blobs.put(to_jpeg(np.full((60, 60, 3), 200, np.uint8)))
    row = ("key", "crop", picture, (0, 0, 50, 50), blobs.put(b"no mask"), None)
    assert _extract_batch([row], blobs, LocalFeatureSettings())[0]["features"] is None
