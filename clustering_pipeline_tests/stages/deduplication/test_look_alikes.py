"""Pictures that look alike by their hashes: all pairs of few, the nearest of many."""

import cv2
import faiss
import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.stages.deduplication import perceptual
from clustering_pipeline.stages.deduplication.appearance import (
    LOOKS,
    compare,
    light_rows,
    look,
    quick_light_rows,
    to_lab,
)
from clustering_pipeline.stages.deduplication.hashing import MIRRORS, UPRIGHT, popcount
from clustering_pipeline.stages.deduplication.looks import look_at, screen
from clustering_pipeline.stages.deduplication.perceptual import CodeSearch, near_rows
from clustering_pipeline_tests.stages.deduplication.conftest import scene


def changed(code, bits):
    for bit in bits:
        code ^= 1 << int(bit)
    return code


def ball(rng, count, most, least=0):
    """Codes of which `least` to `most` bits differ from one code."""
    return np.array(
        [
            changed(
                0x123456789ABCDEF0, rng.choice(64, rng.integers(least, most + 1), replace=False)
            )
            for _ in range(count)
        ],
        np.uint64,
    )


def brute_force(search):
    count = len(search.codes)
    near = np.zeros((count, count), bool)
    for codes in (search.codes, *search.variants):
        near |= popcount(search.codes[:, None] ^ codes[None]) <= search.radius
    return set(zip(*np.nonzero(np.triu(near | near.T, 1)), strict=True))


def pairs_of(near):
    return set(zip(near.first.tolist(), near.second.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_all_pairs_of_few_are_those_of_comparing_all(seed):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([ball(rng, 60, 9), rng.integers(0, 2**63, 60, dtype=np.uint64)])
    codes[10:20] = codes[0]
    variants = (codes ^ np.uint64(0b1011), np.roll(codes, 7))
    search = CodeSearch(codes, variants, 6)
    near = near_rows((search,), len(codes))
    assert near.is_exact and pairs_of(near) == brute_force(search)
    other = CodeSearch(np.roll(codes, 31), (), 3)
    both = near_rows((search, other), len(codes))
    assert pairs_of(both) == brute_force(search) | brute_force(other)


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_is_near_alone(count):
    near = near_rows((CodeSearch(np.zeros(count, np.uint64), (), 4),), count)
    assert len(near.first) == 0 and near.is_exact


def test_pictures_that_all_look_alike_have_their_nearest_alone():
    # A template laid over all pictures: of 6,000 crops nearly all pairs, 18 million, are near.
    rng = np.random.default_rng(1)
    codes = ball(rng, 6_000, 5, least=4)
    codes[1::2] = codes[::2]
    near = near_rows((CodeSearch(codes, (), 10),), len(codes))
    assert not near.is_exact
    assert len(near.first) <= len(codes) * (perceptual.NEAREST + 1)
    copies = {(row, row + 1) for row in range(0, len(codes), 2)}
    assert len(copies & pairs_of(near)) >= 0.95 * len(copies)
    again = near_rows((CodeSearch(codes, (), 10),), len(codes))
    assert pairs_of(near) == pairs_of(again)


def test_copies_of_many_are_found_among_strangers(monkeypatch):
    monkeypatch.setattr(perceptual, "MOST_EXACT", 1000)
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 2**63, 40_000, dtype=np.uint64)
    for row in range(0, 2000, 2):
        codes[row + 1] = changed(int(codes[row]), rng.choice(64, rng.integers(7), replace=False))
    near = near_rows((CodeSearch(codes, (), 10),), len(codes))
    copies = {(row, row + 1) for row in range(0, 2000, 2)}
    assert not near.is_exact
    assert len(copies & pairs_of(near)) >= 0.97 * len(copies)


def thumbnails_of(pictures):
    return [look(picture)["thumbnail"] for picture in pictures]


def test_quick_croppings_are_the_croppings():
    lab = to_lab(thumbnails_of([scene(seed) for seed in range(4)]))
    slow = np.stack([light_rows(one) for one in lab])
    assert np.abs(quick_light_rows(lab) - slow).max() < 1e-4


def test_the_screen_passes_what_would_be_taken_for_a_copy():
    pictures = [scene(seed) for seed in range(12)]
    pictures += [picture[20:, 15:] for picture in pictures[:6]]
    pictures += [cv2.convertScaleAbs(picture, alpha=1.1, beta=5) for picture in pictures[:6]]
    thumbnails = thumbnails_of(pictures)
    lab = to_lab(thumbnails)
    rows = [light_rows(one) for one in lab]
    first, second = np.triu_indices(len(pictures), 1)
    correlations = np.array(
        [
            compare(lab[a], lab[b], rows[a], rows[b]).correlation
            for a, b in zip(first, second, strict=True)
        ]
    )
    passed = screen(first, second, len(pictures), thumbnails.__getitem__, (UPRIGHT,), 0.85)
    assert passed[correlations >= 0.85].all() and (correlations >= 0.85).sum() >= 12
    assert not passed[correlations < 0.84].any()


def test_the_screen_lays_the_second_as_the_ways_say():
    thumbnails = thumbnails_of([scene(1), np.ascontiguousarray(scene(1)[:, ::-1])])
    pair = np.array([0]), np.array([1])
    assert not screen(*pair, 2, thumbnails.__getitem__, (UPRIGHT,), 0.85).any()
    assert screen(*pair, 2, thumbnails.__getitem__, (UPRIGHT, *MIRRORS), 0.85).all()


def test_looks_are_read_as_they_were_made(shelf):
    for seed in range(3):
        shelf.add(str(seed), scene(seed))
    crops = pd.DataFrame(shelf.crops)
    for _ in range(2):
        with look_at(crops, np.array([0, 2]), CleanImageSettings(), shelf.context) as looks:
            made = look(scene(2))
            found = looks.thumbnail(2), looks.subject(2), looks.picture(2), looks.edges[2]
            assert found == tuple(made[name] for name in LOOKS.names[:4])
            assert looks.thumbnail(1) is None and looks.edges[1] == 0


def test_many_copies_beside_few_nearest_have_one_keeper(shelf, monkeypatch):
    for number in range(40):
        height = 240 + 2 * number
        shelf.add(f"copy {number}", cv2.resize(scene(3), (200, height)))
    for seed in range(4, 12):
        shelf.add(f"other {seed}", scene(seed))
    exact = shelf.clean().manifest
    monkeypatch.setattr(perceptual, "MOST_EXACT", 8)
    monkeypatch.setattr(perceptual, "NEAREST", 3)
    bounded = shelf.clean().manifest
    assert (exact["status"] == "kept").sum() == 9
    pd.testing.assert_frame_equal(bounded, exact)


def test_the_index_of_nearest_hashes_is_that_of_training_on_all_of_them():
    codes = np.random.default_rng(6).integers(0, 2**64, 8_000, dtype=np.uint64)
    cells = 40
    chosen = perceptual._sample(codes, 64 * cells, 1)
    centres = []
    for trained_on in (codes, chosen):
        quantiser = faiss.IndexBinaryFlat(64)
        index = faiss.IndexBinaryIVF(quantiser, 64, cells)
        index.cp.seed, index.cp.max_points_per_centroid = 1, 64
        index.train(trained_on.view(np.uint8).reshape(-1, 8))
        centres.append(faiss.vector_to_array(quantiser.xb))
    assert len(chosen) == 64 * cells
    assert np.array_equal(*centres)
