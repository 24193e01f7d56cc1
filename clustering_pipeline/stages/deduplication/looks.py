"""What is compared of the crops that may show one picture, held in a file while they are: a million
of them would not fit into memory. And a screen of the pairs by it: those can be copies whose
lightness correlates, laid over each other; nine of ten pairs of near hashes of sellers' pictures do
not.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import pandas as pd
from cachetools import LRUCache
from numpy.typing import NDArray

from clustering_pipeline.core.graph import Indices
from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.deduplication.appearance import (
    LOOKS,
    SIDE,
    quick_light_rows,
    stream_looks,
    to_lab,
    turn,
)
from clustering_pipeline.stages.deduplication.hashing import Orientation

_STORED = ("thumbnail", "subject", "picture")


class Looks:
    """The LOOKS of some of n crops, in a file that is open.

    Attributes:
        edges, background: float64 (n,), 0 where there is no look.
    """

    def __init__(self, count: int, file: IO[bytes]) -> None:
        self.edges, self.background = np.zeros(count), np.zeros(count)
        self._starts = np.zeros((count, len(_STORED)), np.int64)
        # -1 says that there is nothing, which is not the same as nothing written.
        self._lengths = np.full((count, len(_STORED)), -1, np.int64)
        self._end = 0
        self._file = file

    def add(self, rows: Indices, looks: pd.DataFrame) -> None:
        """Keep a frame of LOOKS, one for each of `rows`."""
        self.edges[rows] = looks["edges"].astype("Float64").fillna(0).to_numpy(np.float64)
        self.background[rows] = looks["background"].astype("Float64").fillna(0).to_numpy(np.float64)
        written = []
        for place, name in enumerate(_STORED):
            for row, content in zip(rows.tolist(), looks[name].tolist(), strict=True):
                if isinstance(content, bytes):
                    self._starts[row, place], self._lengths[row, place] = self._end, len(content)
                    self._end += len(content)
                    written.append(content)
        self._file.write(b"".join(written))
        self._file.flush()

    def thumbnail(self, row: int) -> bytes | None:
        """Return 32 × 32 RGB bytes."""
        return self._stored(row, 0)

    def subject(self, row: int) -> bytes | None:
        """Return 32 × 32 RGB bytes of a small subject."""
        return self._stored(row, 1)

    def picture(self, row: int) -> bytes | None:
        """Return the whole crop, small, as a JPEG file; None of a damaged one."""
        return self._stored(row, 2)

    @property
    def small(self) -> NDArray[np.bool_]:
        """Which crops have a small subject, (n,)."""
        return self._lengths[:, 1] >= 0

    def _stored(self, row: int, place: int) -> bytes | None:
        length = int(self._lengths[row, place])
        if length < 0:
            return None
        return os.pread(self._file.fileno(), length, int(self._starts[row, place]))


@contextmanager
def look_at(
    crops: pd.DataFrame, rows: Indices, settings: CleanImageSettings, context: StageContext
) -> Iterator[Looks]:
    """Give the LOOKS of the `rows` (ascending) of `crops`, which have `crop_sha256`,
    `image_sha256`, box and `is_main`.
    """
    with TemporaryFile() as file:
        looks = Looks(len(crops), file)
        for places, frame in stream_looks(crops.iloc[rows], settings, context):
            looks.add(rows[places], frame[LOOKS.names])
        yield looks


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
