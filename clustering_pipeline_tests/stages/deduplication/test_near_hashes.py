"""The join over hashes against comparing all with all."""

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from clustering_pipeline.stages.deduplication import near_hashes
from clustering_pipeline.stages.deduplication.hashing import pairs_within, popcount


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


def test_the_index_of_nearest_hashes_is_that_of_training_on_all_of_them():
    codes = np.random.default_rng(6).integers(0, 2**64, 8_000, dtype=np.uint64)
    cells = 40
    chosen = near_hashes._sample(codes, 64 * cells, 1)
    centres = []
    for trained_on in (codes, chosen):
        quantiser = faiss.IndexBinaryFlat(64)
        index = faiss.IndexBinaryIVF(quantiser, 64, cells)
        index.cp.seed, index.cp.max_points_per_centroid = 1, 64
        index.train(trained_on.view(np.uint8).reshape(-1, 8))
        centres.append(faiss.vector_to_array(quantiser.xb))
    assert len(chosen) == 64 * cells
    assert np.array_equal(*centres)
