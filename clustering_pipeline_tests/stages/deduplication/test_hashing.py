"""The hashes have imagehash's bits."""

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clustering_pipeline.stages.deduplication.hashing import (
    MIRRORS,
    TURNS,
    UPRIGHT,
    from_hexadecimal,
    hash_bits,
    low_frequencies,
    shrink,
    to_hexadecimal,
    turned,
)


def pictures(seed, count):
    """Noise, flat, gradient and smooth pictures of all sizes."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        height, width = (int(side) for side in rng.integers(8, 900, 2))
        if number % 4 == 0:
            yield rng.integers(0, 256, (height, width), dtype=np.uint8)
        elif number % 4 == 1:
            yield np.full((height, width), rng.integers(256), np.uint8)
        elif number % 4 == 2:
            yield (np.add.outer(np.arange(height), np.arange(width)) % 256).astype(np.uint8)
        else:
            small = Image.fromarray(rng.integers(0, 256, (6, 7), dtype=np.uint8))
            yield np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def assert_same_bits(grey):
    picture = Image.fromarray(grey)
    phash, dhash = hash_bits(grey)
    assert to_hexadecimal(phash) == str(imagehash.phash(picture)), grey.shape
    assert to_hexadecimal(dhash) == str(imagehash.dhash(picture)), grey.shape


def test_bits_equal_imagehash():
    for grey in pictures(0, 40):
        assert_same_bits(grey)


@pytest.mark.slow
def test_bits_equal_imagehash_on_ten_thousand_pictures():
    for grey in pictures(1, 10_000):
        assert_same_bits(grey)


@given(st.integers(8, 400), st.integers(8, 400), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_bits_equal_imagehash_for_any_size(height, width, seed):
    assert_same_bits(np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8))


def test_a_turned_picture_has_the_turned_frequencies():
    square = shrink(next(pictures(2, 1)))[0]
    low = low_frequencies(square)
    for transpose, flip_rows, flip_columns in (UPRIGHT, *MIRRORS, *TURNS):
        picture = square.T if transpose else square
        picture = picture[::-1] if flip_rows else picture
        picture = picture[:, ::-1] if flip_columns else picture
        assert np.allclose(
            low_frequencies(picture), turned(low, (transpose, flip_rows, flip_columns))
        )


def test_hexadecimal_digits_are_imagehash_s_and_come_back():
    bits = np.random.default_rng(4).random((8, 8)) > 0.5
    text = to_hexadecimal(bits)
    assert text == str(imagehash.ImageHash(bits))
    assert np.array_equal(np.unpackbits(from_hexadecimal([text])).astype(bool), bits.ravel())
