"""Which picture of a set of same pictures stands for the rest, and which of the rest it really
stands for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
# Counts of edges within this share of the best are the same detail: brightening with clipped whites
# changes them by that much.
_SAME_DETAIL = 0.55


@dataclass(frozen=True)
class Merits:
    """What makes a crop the better one of its set; arrays of equal length, rows ordered by crop
    sha256.

    Attributes:
        acceptable: passes the quality limits, or is overruled.
        sharp: sharp enough to be compared by detail.
        detail: Canny edge pixels.
        pixels: area in pixels.
        file_size: of its picture in bytes: of equal pictures, the one that was compressed least.
        background: share of its border that is plain.
    """

    acceptable: NDArray[np.bool_]
    sharp: NDArray[np.bool_]
    detail: NDArray[np.float64]
    pixels: NDArray[np.float64]
    file_size: NDArray[np.float64]
    background: NDArray[np.float64]


def assign(
    component: Indices,
    merits: Merits,
    neighbours: Callable[[int], Indices],
    holds: Callable[[int, Indices], NDArray[np.bool_]],
) -> Iterator[tuple[int, Indices]]:
    """Yield every keeper of a component with the members that hold against it; released members
    form sets of their own.

    `neighbours(row)` returns the rows, ascending, that may show the same picture as a row;
    `holds(keeper, others)` says which of `others` among them do.
    """
    remaining = _Remaining(component, merits)
    while remaining:
        keeper = remaining.best()
        remaining.take(np.array([keeper]))
        others = remaining.among(neighbours(keeper))
        members = others[holds(keeper, others)] if len(others) else others
        remaining.take(members)
        yield keeper, members


class _Remaining:
    """The rows of a component that are not yet assigned, the best of them at hand.

    The best has the most detail among the acceptable and sharp ones, then resolution, file size,
    cleaner background; of equal merits it is the one with the smallest sha256, so that the choice
    does not depend on the order of a catalogue. The most detail only ever falls as rows are taken,
    so that a heap of those that come near it answers in logarithmic time.
    """

    def __init__(self, component: Indices, merits: Merits) -> None:
        self._merits = merits
        self._rows = np.sort(component)
        self._is_left = np.ones(len(component), np.bool_)
        self._count = len(component)
        order = np.lexsort(
            (
                self._rows,
                -merits.background[self._rows],
                -merits.file_size[self._rows],
                -merits.pixels[self._rows],
            )
        )
        self._rank = np.empty(len(order), np.int64)
        self._rank[order] = np.arange(len(order))
        self._by_rank = order
        kind = 2 * ~merits.acceptable[self._rows] + ~merits.sharp[self._rows]
        # Places of each kind, the most detailed first; the preferred kind comes first.
        self._kinds = [
            places[np.argsort(-merits.detail[self._rows[places]], kind="stable")]
            for places in (np.flatnonzero(kind == number) for number in range(4))
        ]
        self._heap: list[int] = []
        self._looked_at = self._pushed = 0

    def __len__(self) -> int:
        return self._count

    def best(self) -> int:
        """Return the row that is kept before all others that remain."""
        places = self._first_kind()
        detail = self._merits.detail
        least = _SAME_DETAIL * detail[self._rows[places[self._looked_at]]]
        while self._pushed < len(places) and detail[self._rows[places[self._pushed]]] >= least:
            heappush(self._heap, int(self._rank[places[self._pushed]]))
            self._pushed += 1
        while not self._is_left[self._by_rank[self._heap[0]]]:
            heappop(self._heap)
        return int(self._rows[self._by_rank[self._heap[0]]])

    def _first_kind(self) -> Indices:
        """Return the places of the first kind that has rows left, the first of them looked at."""
        while True:
            places = self._kinds[0]
            while self._looked_at < len(places) and not self._is_left[places[self._looked_at]]:
                self._looked_at += 1
            if self._looked_at < len(places):
                return places
            self._kinds.pop(0)
            self._heap, self._looked_at, self._pushed = [], 0, 0

    def take(self, rows: Indices) -> None:
        """Take rows that remain."""
        self._is_left[np.searchsorted(self._rows, rows)] = False
        self._count -= len(rows)

    def among(self, rows: Indices) -> Indices:
        """Return those of the rows of this component, given in ascending order, that remain."""
        return rows[self._is_left[np.searchsorted(self._rows, rows)]]
