"""Same pictures by perceptual hash: which crops may show one by their hashes alone, found through
an index and checked by their look, each against its keeper.

Pictures of one kind of product are alike: of real sellers' bottles on white 2 % of all pairs lie
within 10 bits, and of a hundred thousand such crops a hundred million pairs. So beyond `MOST_PAIRS`
pairs, or `MOST_EXACT` crops, each crop has its `NEAREST` alone, found in an inverted file of hashes
(FAISS' `IndexBinaryIVF`). Copies are the nearest. Those that a crop has more of than fit come
together when the keepers are compared once more among themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import faiss
import numpy as np
import pandas as pd
from cachetools import LRUCache
from numpy.typing import NDArray

from clustering_pipeline.core.graph import Indices
from clustering_pipeline.imaging import decode_image
from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.stages.deduplication.appearance import (
    Likeness,
    Thumbnails,
    compare,
    is_one_picture,
    light_rows,
    to_lab,
    turn,
)
from clustering_pipeline.stages.deduplication.hashing import (
    MIRRORS,
    TURNS,
    UPRIGHT,
    Codes,
    Orientation,
    from_hexadecimal,
    pairs_within,
    phash_bits,
    popcount,
    turned,
)
from clustering_pipeline.stages.deduplication.keepers import (
    Merits,
    NearRows,
    distinct_pairs,
    find_keepers,
)
from clustering_pipeline.stages.deduplication.looks import Looks, screen

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


# Thumbnails whose croppings are held, 115 kB each.
_HELD = 1024
# Crops whose hashes are read at once.
_CODED = 16_384


@dataclass(frozen=True)
class Hashes:
    """The hashes of n crops, uint64 (n,): the dHash, the pHash by orientation, and the pHash of the
    centre by its size.
    """

    dhash: Codes
    centres: tuple[Codes, ...]
    phashes: Mapping[Orientation, Codes]

    @property
    def phash(self) -> Codes:
        """The pHash of the crops as they are."""
        return self.phashes[UPRIGHT]

    @staticmethod
    def of(measures: pd.DataFrame, orientations: Sequence[Orientation]) -> "Hashes":
        """Return the hashes of measured crops, which all have them; `frequencies` are needed for
        other orientations than upright alone.
        """
        ways = [way for way in orientations if way != UPRIGHT]
        low = np.stack(list(measures["frequencies"])).reshape(-1, 8, 8) if ways else None
        others = {
            way: _pack(phash_bits(turned(low.astype(np.float64), way)))
            for way in ways
            if low is not None
        }
        return Hashes(
            to_codes(measures["dhash"]),
            _centres(measures["centre_phashes"]),
            {UPRIGHT: to_codes(measures["phash"]), **others},
        )

    def take(self, rows: Indices) -> "Hashes":
        """Return the hashes of some of the crops."""
        return Hashes(
            self.dhash[rows],
            tuple(codes[rows] for codes in self.centres),
            {way: codes[rows] for way, codes in self.phashes.items()},
        )


@dataclass(frozen=True)
class Duplicate:
    """A crop that shows its keeper's picture, rows of the measured crops; `distance` in bits of the
    pHash.
    """

    row: int
    keeper: int
    distance: int


def _centres(hashes: pd.Series) -> tuple[Codes, ...]:
    # As objects those of a million crops would take hundreds of megabytes.
    blocks = [
        [to_codes(column) for column in zip(*hashes.iloc[start : start + _CODED], strict=True)]
        for start in range(0, len(hashes), _CODED)
    ]
    return tuple(np.concatenate(parts) for parts in zip(*blocks, strict=True))


def to_codes(hashes: Sequence[str] | pd.Series) -> Codes:
    """Return hexadecimal hashes as uint64."""
    return np.ascontiguousarray(from_hexadecimal(list(hashes))).view(np.uint64).ravel()


def _pack(bits: NDArray[np.bool_]) -> Codes:
    return np.packbits(bits.reshape(len(bits), 64), axis=1).view(np.uint64).ravel()


def orientations(settings: CleanImageSettings) -> tuple[Orientation, ...]:
    """Return the orientations in which a duplicate may lie, upright first."""
    return {
        "upright": (UPRIGHT,),
        "mirrored": (UPRIGHT, *MIRRORS),
        "all": (UPRIGHT, *MIRRORS, *TURNS),
    }[settings.orientations]


def near_by_hashes(hashes: Hashes, settings: CleanImageSettings) -> NearRows:
    """Return the pairs of crops that may show one picture by their hashes: the pHash, of the
    pictures or of one and the other's centre, or the dHash.
    """
    turned_ones = [hashes.phashes[way] for way in orientations(settings) if way != UPRIGHT]
    searches = (
        CodeSearch(hashes.phash, (*turned_ones, *hashes.centres), settings.phash_radius),
        CodeSearch(hashes.dhash, (), settings.dhash_radius),
    )
    return near_rows(searches, len(hashes.phash))


def find_duplicates(
    near: NearRows, hashes: Hashes, looks: Looks, merits: Merits, settings: CleanImageSettings
) -> list[Duplicate]:
    """Return the duplicates among the crops of `hashes`; `looks` has those of every pair."""
    check = _Check(hashes, looks, settings)

    def near_among(rows: Indices) -> NearRows:
        return near_by_hashes(hashes.take(rows), settings)

    keeper_of = find_keepers(near, merits, check.holds, near_among, check.screen)
    return [
        Duplicate(row, keeper, check.distance(keeper, row))
        for row, keeper in enumerate(keeper_of.tolist())
        if row != keeper
    ]


class _Turned:
    """Thumbnails, float32 (32, 32, 3), in any orientation, with their `light_rows`."""

    def __init__(self, thumbnail: Callable[[int], bytes | None]) -> None:
        self._thumbnail = thumbnail
        self._upright: LRUCache[int, Thumbnails] = LRUCache(_HELD)
        self._light: LRUCache[tuple[int, Orientation], NDArray[np.float32]] = LRUCache(_HELD)

    def lab(self, row: int, way: Orientation) -> NDArray[np.float32]:
        if row not in self._upright:
            self._upright[row] = to_lab([self._thumbnail(row)])
        turned_one: NDArray[np.float32] = turn(self._upright[row], way)[0]
        return turned_one

    def light(self, row: int, way: Orientation) -> NDArray[np.float32]:
        key = (row, way)
        if key not in self._light:
            self._light[key] = light_rows(np.ascontiguousarray(self.lab(row, way)))
        return self._light[key]


class _Check:
    """Compares crops with a keeper among them."""

    def __init__(self, hashes: Hashes, looks: Looks, settings: CleanImageSettings) -> None:
        self.hashes = hashes
        self.settings = settings
        self.looks = looks
        self.thumbnails, self.subjects = _Turned(looks.thumbnail), _Turned(looks.subject)
        self.small = looks.small

    def screen(self, near: NearRows) -> NDArray[np.bool_]:
        """Return which pairs are worth being compared."""
        return screen(
            near.first,
            near.second,
            len(self.hashes.phash),
            self.looks.thumbnail,
            orientations(self.settings),
            self.settings.minimum_correlation,
        )

    def holds(self, keeper: int, others: Indices) -> NDArray[np.bool_]:
        same = np.zeros(len(others), np.bool_)
        for way in orientations(self.settings):
            for number in np.flatnonzero(~same & self._near(keeper, others, way)):
                same[number] = self._looks_alike(keeper, int(others[number]), way)
        return same

    def distance(self, keeper: int, member: int) -> int:
        """Return the smallest pHash distance over the orientations that count."""
        return min(
            int(popcount(self.hashes.phash[keeper] ^ self.hashes.phashes[way][[member]])[0])
            for way in orientations(self.settings)
        )

    def _near(self, keeper: int, others: Indices, way: Orientation) -> NDArray[np.bool_]:
        radius, hashes = self.settings.phash_radius, self.hashes
        near = popcount(hashes.phash[keeper] ^ hashes.phashes[way][others]) <= radius
        if way == UPRIGHT:
            near |= (
                popcount(hashes.dhash[keeper] ^ hashes.dhash[others]) <= self.settings.dhash_radius
            )
        for centre in hashes.centres if way == UPRIGHT else ():
            near |= popcount(hashes.phash[keeper] ^ centre[others]) <= radius
            near |= popcount(centre[keeper] ^ hashes.phash[others]) <= radius
        return near

    def _looks_alike(self, keeper: int, other: int, way: Orientation) -> bool:
        pictures = (
            [self.thumbnails, self.subjects]
            if self.small[keeper] and self.small[other]
            else [self.thumbnails]
        )
        alike = all(
            self._within_limits(
                compare(
                    one.lab(keeper, UPRIGHT),
                    one.lab(other, way),
                    one.light(keeper, UPRIGHT),
                    one.light(other, way),
                )
            )
            for one in pictures
        )
        return alike and self._one_picture(keeper, other, way)

    def _one_picture(self, keeper: int, other: int, way: Orientation) -> bool:
        """Whether the print and the colours of two look-alikes agree everywhere; siblings look
        alike from afar.
        """
        first, second = self.looks.picture(keeper), self.looks.picture(other)
        if first is None or second is None:
            return False
        turned_one = turn(decode_image(second)[None], way)[0]
        return is_one_picture(decode_image(first), np.ascontiguousarray(turned_one))

    def _within_limits(self, likeness: Likeness) -> bool:
        limits = self.settings
        return (
            likeness.correlation >= limits.minimum_correlation
            and likeness.light <= limits.maximum_light_difference
            and likeness.colour <= limits.maximum_colour_difference
        )
