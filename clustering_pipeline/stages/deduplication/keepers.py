"""Which picture of a set of same pictures stands for the rest, and which of the rest it really
stands for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.graph import Indices, Neighbours, components

# Counts of edges within this share of the best are the same detail: brightening with clipped whites
# changes them by that much.
_SAME_DETAIL = 0.55
# How often keepers are compared again, at most; three times were enough for a thousand copies.
_ROUNDS = 8

# Which of `others` show the same picture as a crop, (n,).
Holds = Callable[[int, Indices], NDArray[np.bool_]]


class NearRows(NamedTuple):
    """Pairs of crops, int64 (m,), first < second, ordered; `is_exact` says that none is missing."""

    first: Indices
    second: Indices
    is_exact: bool

    def with_any(self, wanted: NDArray[np.bool_]) -> "NearRows":
        """Return the pairs of which one at least is wanted, (n,)."""
        chosen = wanted[self.first] | wanted[self.second]
        return NearRows(self.first[chosen], self.second[chosen], self.is_exact)

    def rows(self) -> Indices:
        """Return the crops that are in any pair, ascending."""
        return np.unique(np.concatenate([self.first, self.second]))


def distinct_pairs(first: Indices, second: Indices, count: int, *, is_exact: bool) -> NearRows:
    """Return the distinct pairs of `count` crops, ordered, without those of one with itself."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    numbers = np.unique(low[low < high] * count + high[low < high])
    return NearRows(numbers // max(count, 1), numbers % max(count, 1), is_exact)


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
    holds: Holds,
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


def find_keepers(
    near: NearRows,
    merits: Merits,
    holds: Holds,
    near_among: Callable[[Indices], NearRows],
    screen: Callable[[NearRows], NDArray[np.bool_]] | None = None,
) -> Indices:
    """Return the keeper of every crop, int64 (n,), itself where it is nobody's copy.

    Where `near` names the nearest pairs alone, keepers are compared again among themselves, those
    of pairs that were found and those that are near, until none of them is another's copy.

    Args:
        near: the pairs that may show one picture.
        merits: of the n crops.
        holds: see `assign`.
        near_among: the pairs among some crops that may show one picture, as places of these.
        screen: which pairs are worth being compared, all by default.
    """
    keeper_of = np.arange(len(merits.detail))
    for _ in range(_ROUNDS):
        if screen is not None:
            passed = screen(near)
            near = NearRows(near.first[passed], near.second[passed], near.is_exact)
        joined = _assign_once(near, merits, holds, keeper_of)
        if near.is_exact or not joined:
            break
        near = _among_keepers(near, keeper_of, near_among)
    return keeper_of


def _among_keepers(
    near: NearRows, keeper_of: Indices, near_among: Callable[[Indices], NearRows]
) -> NearRows:
    """Return the pairs of keepers, with those that are near among the keepers of others."""
    kings = np.array(list(members_of(keeper_of)), np.int64)
    among = near_among(kings)
    return distinct_pairs(
        np.concatenate([keeper_of[near.first], kings[among.first]]),
        np.concatenate([keeper_of[near.second], kings[among.second]]),
        len(keeper_of),
        is_exact=False,
    )


def _assign_once(near: NearRows, merits: Merits, holds: Holds, keeper_of: Indices) -> bool:
    """Assign crops to keepers by the pairs; whether any changed. Members of a keeper that became a
    duplicate go with it where they hold against the new one, and stay together where they do not.
    """
    neighbours = Neighbours(len(keeper_of), near.first, near.second)
    changes = [
        (keeper, members)
        for rows in components(len(keeper_of), near.first, near.second)
        for keeper, members in assign(rows, merits, neighbours.of, holds)
        if len(members)
    ]
    followers = members_of(keeper_of) if changes else {}
    for keeper, members in changes:
        keeper_of[members] = keeper
        for member in members.tolist():
            _follow(keeper, followers.get(member, np.zeros(0, np.int64)), merits, holds, keeper_of)
    return bool(changes)


def _follow(keeper: int, others: Indices, merits: Merits, holds: Holds, keeper_of: Indices) -> None:
    same = holds(keeper, others)
    keeper_of[others[same]] = keeper
    released = others[~same]
    for king, members in assign(released, merits, lambda _: released, holds):
        keeper_of[np.append(members, king)] = king


def members_of(keeper_of: Indices) -> dict[int, Indices]:
    """Return the other crops of each keeper that has any, ascending.

    Example:
        >>> members_of(np.array([1, 1, 2, 1]))
        {1: array([0, 3])}
    """
    members = np.flatnonzero(keeper_of != np.arange(len(keeper_of)))
    ordered = members[np.argsort(keeper_of[members], kind="stable")]
    keepers, starts = np.unique(keeper_of[ordered], return_index=True)
    parts = np.split(ordered, starts[1:]) if len(keepers) else []
    return dict(zip(keepers.tolist(), parts, strict=True))
