"""Which picture of a set of same pictures stands for the rest, and which of the rest it really
stands for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

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


def best(rows: Indices, merits: Merits) -> int:
    """Return the row that is kept: the most detail among those sharp enough, then resolution, file
    size, cleaner background.

    Equal merits go to the smallest sha256, so that the choice does not depend on the order of a
    catalogue.
    """
    for preferred in (merits.acceptable, merits.sharp):
        rows = rows[preferred[rows]] if preferred[rows].any() else rows
    detailed = rows[merits.detail[rows] >= _SAME_DETAIL * merits.detail[rows].max()]
    order = np.lexsort(
        (
            detailed,
            -merits.background[detailed],
            -merits.file_size[detailed],
            -merits.pixels[detailed],
        )
    )
    return int(detailed[order[0]])


def assign(
    component: Indices, merits: Merits, holds: Callable[[int, Indices], NDArray[np.bool_]]
) -> Iterator[tuple[int, Indices]]:
    """Yield every keeper of a component with the members that hold against it; released members
    form sets of their own.

    `holds(keeper, others)` says which of `others` show the same picture as the keeper itself.
    """
    remaining = component
    while len(remaining):
        keeper = best(remaining, merits)
        others = remaining[remaining != keeper]
        same = holds(keeper, others) if len(others) else np.zeros(0, np.bool_)
        yield keeper, others[same]
        remaining = others[~same]
