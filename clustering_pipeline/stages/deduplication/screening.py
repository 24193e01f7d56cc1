"""Which pairs of crops with near hashes can be copies at all: those whose lightness correlates,
laid over each other. Nine of ten such pairs of sellers' pictures do not.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from clustering_pipeline.core.graph import Indices
from clustering_pipeline.stages.deduplication.appearance import SIDE, quick_light_rows, to_lab, turn
from clustering_pipeline.stages.deduplication.hashing import Orientation

# What rounding may take from a correlation.
_ROUNDING = 1e-3
_BLOCK = 64
# Rows of 4 kB that are held.
_CACHED = 32_768

Thumbnail = Callable[[int], bytes | None]


def screen(
    first: Indices,
    second: Indices,
    count: int,
    thumbnail: Thumbnail,
    ways: Sequence[Orientation],
    least: float,
) -> NDArray[np.bool_]:
    """Return which pairs of `count` crops have croppings that correlate by about `least` or more,
    bool (m,), in any of the `ways` that the second may lie.

    The croppings of each crop are made once, and compared with all its partners as they are.
    """
    passed = np.zeros(len(first), np.bool_)
    rows = np.concatenate([first, second])
    order = np.argsort(rows, kind="stable")
    starts = np.searchsorted(rows[order], np.arange(count + 1))
    partners = np.concatenate([second, first])
    whole = _Whole(thumbnail)
    for row, light in _light_rows(np.flatnonzero(np.diff(starts)), thumbnail):
        asked = order[starts[row] : starts[row + 1]]
        asked = asked[~passed[asked % len(first)]]
        if len(asked) == 0:
            continue
        others = whole.rows(partners[asked])
        best = np.max([(_turned(others, way) @ light.T).max(axis=1) for way in ways], axis=0)
        passed[asked[best >= least - _ROUNDING] % len(first)] = True
    return passed


def _light_rows(rows: Indices, thumbnail: Thumbnail) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for start in range(0, len(rows), _BLOCK):
        some = rows[start : start + _BLOCK].tolist()
        made = quick_light_rows(to_lab([thumbnail(row) for row in some]))
        yield from zip(some, made, strict=True)


def _turned(others: NDArray[np.float32], way: Orientation) -> NDArray[np.float32]:
    squares = turn(others.reshape(-1, SIDE, SIDE), way)
    return squares.reshape(len(others), -1)


class _Whole:
    """Thumbnails as they are, as rows of mean 0 and length 1."""

    def __init__(self, thumbnail: Thumbnail) -> None:
        self._thumbnail = thumbnail
        self._cache: LRUCache[int, NDArray[np.float32]] = LRUCache(_CACHED)

    def rows(self, rows: Indices) -> NDArray[np.float32]:
        """Return float32 (n, 1024)."""
        wanted = rows.tolist()
        missing = [row for row in wanted if row not in self._cache]
        fresh = dict(zip(missing, self._made(missing), strict=True)) if missing else {}
        stacked = np.stack([fresh[row] if row in fresh else self._cache[row] for row in wanted])
        self._cache.update(fresh)
        return stacked

    def _made(self, rows: list[int]) -> NDArray[np.float32]:
        light = to_lab([self._thumbnail(row) for row in rows])[..., 0].reshape(len(rows), -1)
        light = light - light.mean(axis=1, keepdims=True)
        norms = np.linalg.norm(light, axis=1, keepdims=True)
        return np.asarray(light / np.maximum(norms, 1e-3), np.float32)
