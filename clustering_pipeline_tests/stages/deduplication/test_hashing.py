"""The hashes have imagehash's bits, and the join over them is that of comparing all with all."""

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from clustering_pipeline.stages.deduplication.hashing import (
    MIRRORS,
    TURNS,
    UPRIGHT,
    from_hexadecimal,
    hash_bits,
    low_frequencies,
    pairs_within,
    popcount,
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


def clustered_codes(seed, count):
    """Codes of which half are others with up to 12 bits changed."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2**63, count, dtype=np.uint64)
    for row in range(count // 2):
        bits = rng.choice(64, rng.integers(0, 13), replace=False)
        changed = int(codes[rng.integers(count // 2, count)])
        for bit in bits:
            changed ^= 1 << int(bit)
        codes[row] = changed
    return codes


def brute_force(codes, radius):
    distances = popcount(codes[:, None] ^ codes[None])
    first, second = np.nonzero(np.triu(distances <= radius, 1))
    return {(int(a), int(b), int(distances[a, b])) for a, b in zip(first, second, strict=True)}


@pytest.mark.parametrize("radius", [0, 1, 3, 6, 8, 10, 13, 16])
def test_finds_exactly_the_pairs_within_the_radius(radius):
    codes = np.unique(clustered_codes(radius, 600))
    pairs = pairs_within(codes, radius)
    found = set(
        zip(pairs.first.tolist(), pairs.second.tolist(), pairs.distances.tolist(), strict=True)
    )
    assert found == brute_force(codes, radius)
    assert len(found) == len(pairs)


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 7), max_size=60), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_rows_hang_together_as_all_pairs_would_have_them(values, radius):
    codes = np.array(values, np.uint64)
    pairs = pairs_within(codes, radius)
    expected = [(a, b) for a, b, _ in brute_force(codes, radius)] if len(codes) else []
    labels = [
        connected_components(
            coo_matrix(
                (np.ones(len(edges)), tuple(zip(*edges, strict=True)) if edges else ([], [])),
                shape=(len(codes),) * 2,
            )
        )[1].tolist()
        for edges in (list(zip(pairs.first, pairs.second, strict=True)), expected)
        if len(codes)
    ]
    assert not labels or labels[0] == labels[1]


def test_a_thousand_equal_codes_give_a_star():
    pairs = pairs_within(np.zeros(1000, np.uint64), 6)
    assert len(pairs) == 999 and set(pairs.first.tolist()) == {0}


def test_a_radius_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="radius"):
        pairs_within(np.zeros(2, np.uint64), 40)


def test_popcount():
    assert popcount(np.array([0, 1, 2**64 - 1, 0xF0F0], np.uint64)).tolist() == [0, 1, 64, 8]
