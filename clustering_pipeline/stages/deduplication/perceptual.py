"""Same pictures by perceptual hash: found through an index, checked by their look, each against its
keeper.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from cachetools import LRUCache
from numpy.typing import NDArray

from clustering_pipeline.core.graph import Indices, components
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
from clustering_pipeline.stages.deduplication.keepers import Merits, assign

# Thumbnails whose croppings are held, 115 kB each.
_HELD = 1024


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
        """Return the hashes of measured crops, which all have them."""
        low = np.stack(list(measures["frequencies"])).reshape(-1, 8, 8).astype(np.float64)
        others = {
            way: _pack(phash_bits(turned(low, way))) for way in orientations if way != UPRIGHT
        }
        centres = tuple(
            to_codes(column) for column in zip(*measures["centre_phashes"], strict=True)
        )
        return Hashes(
            to_codes(measures["dhash"]), centres, {UPRIGHT: to_codes(measures["phash"]), **others}
        )


@dataclass(frozen=True)
class Duplicate:
    """A crop that shows its keeper's picture, rows of the measured crops; `distance` in bits of the
    pHash.
    """

    row: int
    keeper: int
    distance: int


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


def candidate_sets(hashes: Hashes, settings: CleanImageSettings) -> list[Indices]:
    """Return the sets of rows that hang together by hashes alone: pHash, of the pictures or of one
    and the other's centre, or dHash.
    """
    count = len(hashes.phash)
    codes = np.concatenate(
        [*(hashes.phashes[way] for way in orientations(settings)), *hashes.centres]
    )
    joins = (
        pairs_within(codes, settings.phash_radius),
        pairs_within(hashes.dhash, settings.dhash_radius),
    )
    first, second = (
        np.concatenate(side) % count
        for side in zip(*((pairs.first, pairs.second) for pairs in joins), strict=True)
    )
    return components(count, first, second)


def find_duplicates(
    sets: Sequence[Indices],
    hashes: Hashes,
    looks: pd.DataFrame,
    merits: Merits,
    settings: CleanImageSettings,
) -> list[Duplicate]:
    """Return the duplicates within `sets`; `looks` has the LOOKS of every row in a set, in the
    order of `hashes`.
    """
    duplicates = []
    for rows in sets:
        check = _Check(rows, hashes, looks.iloc[rows], settings)
        for keeper, members in assign(rows, merits, check.holds):
            duplicates += [
                Duplicate(int(member), keeper, check.distance(keeper, int(member)))
                for member in members
            ]
    return duplicates


class _Turned:
    """Thumbnails, float32 (n, 32, 32, 3), in any orientation, with their `light_rows`."""

    def __init__(self, upright: Thumbnails) -> None:
        self._upright = upright
        self._light: LRUCache[tuple[int, Orientation], NDArray[np.float32]] = LRUCache(_HELD)

    def lab(self, place: int, way: Orientation) -> NDArray[np.float32]:
        turned_one: NDArray[np.float32] = turn(self._upright[[place]], way)[0]
        return turned_one

    def light(self, place: int, way: Orientation) -> NDArray[np.float32]:
        key = (place, way)
        if key not in self._light:
            self._light[key] = light_rows(np.ascontiguousarray(self.lab(place, way)))
        return self._light[key]


class _Check:
    """Compares the rows of one set with a keeper among them."""

    def __init__(
        self, rows: Indices, hashes: Hashes, looks: pd.DataFrame, settings: CleanImageSettings
    ) -> None:
        self.hashes = hashes
        self.settings = settings
        self.thumbnails = _Turned(to_lab(looks["thumbnail"].tolist()))
        self.subjects = _Turned(to_lab(looks["subject"].tolist()))
        self.pictures = looks["picture"].tolist()
        self.small = looks["subject"].notna().to_numpy()
        self.place = {int(row): place for place, row in enumerate(rows)}

    def holds(self, keeper: int, others: Indices) -> NDArray[np.bool_]:
        same = np.zeros(len(others), np.bool_)
        for way in orientations(self.settings):
            for number in np.flatnonzero(~same & self._near(keeper, others, way)):
                same[number] = self._looks_alike(
                    self.place[keeper], self.place[int(others[number])], way
                )
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
        first, second = (decode_image(self.pictures[place]) for place in (keeper, other))
        return is_one_picture(first, np.ascontiguousarray(turn(second[None], way)[0]))

    def _within_limits(self, likeness: Likeness) -> bool:
        limits = self.settings
        return (
            likeness.correlation >= limits.minimum_correlation
            and likeness.light <= limits.maximum_light_difference
            and likeness.colour <= limits.maximum_colour_difference
        )
