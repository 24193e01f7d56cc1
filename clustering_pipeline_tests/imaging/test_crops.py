"""Regions and their identity."""

import numpy as np
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.imaging import (
    crop_digest,
    cut,
    fit_within,
    load_crop,
    load_thumbnail,
    to_jpeg,
    to_png,
)
from clustering_pipeline.storage import BlobStore


@pytest.fixture
def pixels():
    return np.random.default_rng(3).integers(0, 255, (30, 50, 3), dtype=np.uint8)


def test_a_stored_crop_is_the_region_of_its_picture(tmp_path, pixels):
    blobs = BlobStore(str(tmp_path))
    digest = blobs.put(to_png(pixels))
    assert np.array_equal(load_crop(blobs, digest, (10, 5, 40, 25)), pixels[5:25, 10:40])
    assert np.array_equal(load_crop(blobs, digest, None), pixels)


@pytest.mark.parametrize("box", [None, (400, 200, 1200, 800)])
def test_a_thumbnail_of_a_reduced_picture_looks_like_one_of_the_whole(tmp_path, box):
    x, y = np.meshgrid(np.linspace(0, 255, 1600), np.linspace(0, 255, 1000))
    picture = np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)
    blobs = BlobStore(str(tmp_path))
    digest = blobs.put(to_jpeg(picture, 95))
    thumbnail = load_thumbnail(blobs, digest, box, 120)
    expected = fit_within(picture if box is None else cut(picture, box), 120)
    assert thumbnail.shape == expected.shape
    assert np.abs(thumbnail.astype(int) - expected).mean() < 3


def test_a_missing_picture_names_the_remedy(tmp_path):
    with pytest.raises(StageError, match="Run the category again"):
        load_crop(BlobStore(str(tmp_path)), "0" * 64, None)


def test_boxes_are_clipped_and_never_empty(pixels):
    assert cut(pixels, (-5, -5, 10, 900)).shape == (30, 10, 3)
    with pytest.raises(ValueError, match="empty"):
        cut(pixels, (60, 0, 70, 10))


def test_the_digest_is_of_pixels_and_shape_not_of_memory_layout(pixels):
    assert crop_digest(pixels[:, ::2]) == crop_digest(np.ascontiguousarray(pixels[:, ::2]))
    assert crop_digest(pixels) != crop_digest(pixels.reshape(50, 30, 3))


def test_fit_within_keeps_proportions(pixels):
    assert fit_within(pixels, 25).shape == (15, 25, 3)
    assert fit_within(pixels, 100) is pixels
    assert fit_within(pixels, 100, enlarge=True).shape == (60, 100, 3)


def test_equal_pixels_give_equal_jpeg_bytes(pixels):
    assert to_jpeg(pixels) == to_jpeg(pixels.copy())
