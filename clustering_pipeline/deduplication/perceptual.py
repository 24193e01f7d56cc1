"""Same pictures by perceptual hash: found through an index, checked by their look, each against its keeper."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.deduplication.components import Indices, components
from clustering_pipeline.deduplication.hamming import Codes, pairs_within, popcount
from clustering_pipeline.deduplication.hashing import from_hexadecimal
from clustering_pipeline.deduplication.keepers import Merits, assign
from clustering_pipeline.deduplication.looks import Thumbnails, compare, to_lab, turn
from clustering_pipeline.deduplication.measures import MIRRORS, TURNS
from clustering_pipeline.settings import CleanImageSettings

Way = tuple[bool, bool, bool]
UPRIGHT: Way = (False, False, False)


@dataclass(frozen=True)
class Hashes:
    """The hashes of n crops: uint64 (n,) each, the turned ones (n, 7) in the order of MIRRORS + TURNS."""

    phash: Codes
    dhash: Codes
    turned: Codes

    @staticmethod
    def of(measures: pd.DataFrame) -> "Hashes":
        """Return the hashes of measured crops, which all have them."""
        turned = [code for codes in measures["turned_phashes"] for code in codes]
        ways = len(MIRRORS) + len(TURNS)
        return Hashes(to_codes(measures["phash"]), to_codes(measures["dhash"]), to_codes(turned).reshape(-1, ways))


@dataclass(frozen=True)
class Duplicate:
    """A crop that shows its keeper's picture, rows of the measured crops; `distance` in bits of the pHash."""

    row: int
    keeper: int
    distance: int


def to_codes(hashes: Sequence[str] | pd.Series) -> Codes:
    """Return hexadecimal hashes as uint64."""
    return np.ascontiguousarray(from_hexadecimal(list(hashes))).view(np.uint64).ravel()


def ways(settings: CleanImageSettings) -> tuple[Way, ...]:
    """Return the orientations in which a duplicate may lie, upright first."""
    return {"upright": (UPRIGHT,), "mirrored": (UPRIGHT, *MIRRORS), "all": (UPRIGHT, *MIRRORS, *TURNS)}[settings.orientations]


def candidate_sets(hashes: Hashes, settings: CleanImageSettings) -> list[Indices]:
    """Return the sets of rows that hang together by pHash alone."""
    count = len(hashes.phash)
    codes = np.concatenate([_phashes(hashes, way) for way in ways(settings)])
    pairs = pairs_within(codes, settings.phash_radius)
    return components(count, pairs.first % count, pairs.second % count) if len(pairs) else []


def find_duplicates(
    sets: Sequence[Indices], hashes: Hashes, looks: dict[int, bytes], merits: Merits, settings: CleanImageSettings
) -> list[Duplicate]:
    """Return the duplicates within `sets`; `looks` has the stored thumbnail of every row in a set."""
    found = []
    for rows in sets:
        check = _Check(rows, hashes, to_lab([looks[int(row)] for row in rows]), settings)
        for keeper, members in assign(rows, merits, check.holds):
            found += [Duplicate(int(member), keeper, check.distance(keeper, int(member))) for member in members]
    return found


class _Check:
    """Compares the rows of one set with a keeper among them."""

    def __init__(self, rows: Indices, hashes: Hashes, thumbnails: Thumbnails, settings: CleanImageSettings) -> None:
        self.hashes = hashes
        self.settings = settings
        self.thumbnails = thumbnails
        self.place = {int(row): place for place, row in enumerate(rows)}

    def holds(self, keeper: int, others: Indices) -> NDArray[np.bool_]:
        same = np.zeros(len(others), np.bool_)
        for way in ways(self.settings):
            near = ~same & self._near(keeper, others, way)
            same[near] = self._looks_alike(keeper, others[near], way)
        return same

    def distance(self, keeper: int, member: int) -> int:
        """Return the smallest pHash distance over the orientations that count."""
        return min(
            int(popcount(self.hashes.phash[keeper] ^ _phashes(self.hashes, way)[[member]])[0]) for way in ways(self.settings)
        )

    def _near(self, keeper: int, others: Indices, way: Way) -> NDArray[np.bool_]:
        near = popcount(self.hashes.phash[keeper] ^ _phashes(self.hashes, way)[others]) <= self.settings.phash_radius
        if way == UPRIGHT:
            near &= popcount(self.hashes.dhash[keeper] ^ self.hashes.dhash[others]) <= self.settings.dhash_radius
        return near

    def _looks_alike(self, keeper: int, others: Indices, way: Way) -> NDArray[np.bool_]:
        if len(others) == 0:
            return np.zeros(0, np.bool_)
        theirs = turn(self.thumbnails[[self.place[int(row)] for row in others]], way)
        correlation, colour = compare(self.thumbnails[self.place[keeper]], theirs)
        limits = self.settings
        alike: NDArray[np.bool_] = (correlation >= limits.minimum_correlation) & (colour <= limits.maximum_colour_difference)
        return alike


def _phashes(hashes: Hashes, way: Way) -> Codes:
    if way == UPRIGHT:
        return hashes.phash
    return hashes.turned[:, (*MIRRORS, *TURNS).index(way)]
