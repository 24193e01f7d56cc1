"""What is compared of the crops that may show one picture, held in a file while they are: a million
of them would not fit into memory.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.core.graph import Indices
from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.deduplication.appearance import LOOKS, stream_looks

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
