"""Same pictures by perceptual hash: found through an index, checked by their look, each against its
keeper.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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
    phash_bits,
    popcount,
    turned,
)
from clustering_pipeline.stages.deduplication.keepers import Merits, NearRows, find_keepers
from clustering_pipeline.stages.deduplication.looks import Looks
from clustering_pipeline.stages.deduplication.near_hashes import CodeSearch, near_rows
from clustering_pipeline.stages.deduplication.screening import screen

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
