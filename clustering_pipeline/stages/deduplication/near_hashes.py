"""Which crops may show one picture by their hashes alone: all such pairs where they are few, else
the nearest of each crop.

Pictures of one kind of product are alike: of real sellers' bottles on white 2 % of all pairs lie
within 10 bits, and of a hundred thousand such crops a hundred million pairs. So beyond `MOST_PAIRS`
pairs, or `MOST_EXACT` crops, each crop has its `NEAREST` alone, found in an inverted file of hashes
(FAISS' `IndexBinaryIVF`). Copies are the nearest. Those that a crop has more of than fit come
together when the keepers are compared once more among themselves.
"""

from typing import NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.graph import Indices
from clustering_pipeline.stages.deduplication.hashing import Codes, pairs_within, popcount
from clustering_pipeline.stages.deduplication.keepers import NearRows, distinct_pairs

MOST_PAIRS, MOST_EXACT = 10_000_000, 100_000
NEAREST = 48
# Rows and partners whose pairs are counted to foresee how many there are.
_ASKED, _SAMPLED = 512, 20_000
# As the inverted file of vectors, but for cells that stay small beside what is looked through.
_CELLS_PER_ROOT, _PROBES, _TRAINED_ON, _ROUNDS = 2.0, 64, 64, 5
_QUERIES = 16_384


class CodeSearch(NamedTuple):
    """One kind of hash: of the crops as they are, uint64 (n,), and what they are compared with, k
    variants of each crop, uint64 (n,) each; within `radius` bits.
    """

    codes: Codes
    variants: tuple[Codes, ...]
    radius: int


def near_rows(searches: tuple[CodeSearch, ...], count: int) -> NearRows:
    """Return the pairs of `count` crops of which one, as it is, lies within the radius of the other
    or of a variant of it, by any of the searches.

    Example:
        >>> codes = np.array([0b1111, 0b1110, 2**60 - 1], np.uint64)
        >>> near_rows((CodeSearch(codes, (), 2),), 3)
        NearRows(first=array([0]), second=array([1]), is_exact=True)
    """
    is_exact = count <= MOST_EXACT and sum(map(_foreseen_pairs, searches)) <= MOST_PAIRS
    find = _all_within if is_exact else _nearest_within
    first, second = (
        np.concatenate(side) for side in zip(*(find(one) for one in searches), strict=True)
    )
    return distinct_pairs(first, second, count, is_exact=is_exact)


def _foreseen_pairs(search: CodeSearch) -> float:
    """Return about how many pairs lie within the radius, from those of a sample."""
    count = len(search.codes)
    asked = search.codes[:: -(-count // _ASKED) or 1]
    near, looked = 0, 0
    for codes in (search.codes, *search.variants):
        sampled = codes[:: -(-count // _SAMPLED) or 1]
        near += sum(int((popcount(sampled ^ one) <= search.radius).sum()) for one in asked)
        looked += len(asked) * len(sampled)
    kinds = 1 + len(search.variants)
    return near / max(looked, 1) * kinds * count**2 / 2


def _all_within(search: CodeSearch) -> tuple[Indices, Indices]:
    """Return rows of every pair within the radius, of which one is as it is."""
    count = len(search.codes)
    distinct, members = np.unique(
        np.concatenate([search.codes, *search.variants]), return_inverse=True
    )
    order = np.argsort(members, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(members, minlength=len(distinct)))])
    pairs = pairs_within(distinct, search.radius)
    same = np.arange(len(distinct))
    left, right = np.concatenate([pairs.first, same]), np.concatenate([pairs.second, same])
    upright = np.zeros(len(distinct), bool)
    upright[members[:count]] = True
    useful = (upright[left] | upright[right]) & ((left != right) | (np.diff(starts)[left] > 1))
    left, right = left[useful], right[useful]
    sizes = np.diff(starts)
    first, second = _products(starts[left], sizes[left], starts[right], sizes[right])
    first, second = order[first], order[second]
    as_is = (first < count) | (second < count)
    return first[as_is] % count, second[as_is] % count


def _products(
    starts_a: Indices, sizes_a: Indices, starts_b: Indices, sizes_b: Indices
) -> tuple[Indices, Indices]:
    """Return every (start_a + i, start_b + j), i < size_a, j < size_b, of each row."""
    sizes = sizes_a * sizes_b
    row = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return starts_a[row] + within // sizes_b[row], starts_b[row] + within % sizes_b[row]


def _nearest_within(search: CodeSearch) -> tuple[Indices, Indices]:
    """Return rows of the nearest others of each crop that lie within the radius."""
    count = len(search.codes)
    index = _open_index(np.concatenate([search.codes, *search.variants]))
    first, second = [], []
    for start in range(0, count, _QUERIES):
        asked = search.codes[start : start + _QUERIES]
        # A crop finds itself as well, and each of its variants.
        distances, places = index.search(_bytes(asked), NEAREST + 1 + len(search.variants))
        within = (distances <= search.radius) & (places >= 0)
        first.append(np.nonzero(within)[0] + start)
        second.append(places[within] % count)
    return np.concatenate(first), np.concatenate(second)


def _open_index(codes: Codes) -> faiss.IndexBinary:
    quantiser = faiss.IndexBinaryFlat(64)
    cells = max(1, min(int(_CELLS_PER_ROOT * np.sqrt(len(codes))), len(codes) // _TRAINED_ON))
    index = faiss.IndexBinaryIVF(quantiser, 64, cells)
    index.cp.seed, index.cp.niter = 1, _ROUNDS
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, _TRAINED_ON
    index.train(_bytes(_sample(codes, cells * _TRAINED_ON, index.cp.seed)))
    index.add(_bytes(codes))
    index.nprobe = _PROBES
    return index


def _sample(codes: Codes, count: int, seed: int) -> Codes:
    """Return those codes that FAISS would choose to train on: it would take 32 times the memory of
    all of them first.
    """
    if len(codes) <= count:
        return codes
    order = np.empty(len(codes), np.int32)
    faiss.rand_perm(faiss.swig_ptr(order), len(order), seed)  # type: ignore[attr-defined]
    return codes[order[:count]]


def _bytes(codes: Codes) -> NDArray[np.uint8]:
    return np.ascontiguousarray(codes).view(np.uint8).reshape(-1, 8)
