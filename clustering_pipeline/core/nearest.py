"""The nearest of many vectors: all compared with all where they are few, else found in an inverted
file of compressed vectors and ranked by the vectors themselves.

The inverted file is FAISS' `PCAR,IVF,PQx4fs`. Its cells are four times the root of the number of
vectors, as FAISS' guidelines have it for up to a million. A vector takes 4 bits for two of its
principal components, so that looking through a cell costs about a fiftieth of what whole vectors
cost, and a million vectors take 64 MB beside themselves. Of a few times as many as are wanted the
cosines are computed exactly.
Jégou, Douze, Schmid: "Product Quantization for Nearest Neighbor Search", TPAMI 2011; André,
Kermarrec, Le Scouarnec: "Quicker ADC", TPAMI 2021; Douze et al.: "The Faiss Library", 2024.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

EXACT_UP_TO = 20_000
# Cells per root of the number of vectors, how many of them are looked through for each vector, and
# how many times as many as wanted are ranked exactly. Of 15 neighbours of 100,000 planted
# vectors 0.99 are those of comparing all.
_CELLS_PER_ROOT, _PROBES, _RANKED = 4.0, 64, 8
# Principal components that are compressed, in pairs; whole vectors where there are fewer.
_COMPONENTS = 128
_TRAINED_ON, _ROUNDS, _SEED = 64, 8, 1
# So many vectors are compared in no time, and fewer would teach the components nothing.
_FEWEST = 512
_BLOCK = 20_480
# Vectors whose candidates are gathered at once.
_GATHERED = 128


class Nearest(NamedTuple):
    """The nearest of a block of vectors, themselves among them, the nearest first.

    Attributes:
        start: the row of the first vector of the block.
        rows: int64 (b, k), -1 where fewer were found.
        cosines: float32 (b, k).
    """

    start: int
    rows: NDArray[np.int64]
    cosines: Floats


def nearest(vectors: Floats, count: int, exact_up_to: int = EXACT_UP_TO) -> Iterator[Nearest]:
    """Yield the `count` nearest of each unit row of float32 (n, d) by cosine, block by block;
    exactly up to so many rows.

    Example:
        >>> vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
        >>> [block.rows.tolist() for block in nearest(vectors, 2)]
        [[[0, 1], [1, 0], [2, 1]]]
    """
    count = min(count, len(vectors))
    search = _open_search(vectors, exact_up_to)
    for start in range(0, len(vectors), _BLOCK):
        cosines, rows = search(vectors[start : start + _BLOCK], count)
        yield Nearest(start, rows, cosines)


def _open_search(
    vectors: Floats, exact_up_to: int
) -> Callable[[Floats, int], tuple[Floats, NDArray[np.int64]]]:
    """Return what gives cosines and rows of the nearest of some vectors among `vectors`."""
    if len(vectors) <= max(exact_up_to, _FEWEST):
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        return index.search
    if vectors.shape[1] < _COMPONENTS:
        return _whole_cells(vectors).search
    return _Compressed(vectors).search


def _cells(count: int) -> int:
    return max(1, min(int(_CELLS_PER_ROOT * np.sqrt(count)), count // _TRAINED_ON))


def _whole_cells(vectors: Floats) -> faiss.Index:
    """Return an inverted file of short vectors, which are cheap to compare as they are."""
    dimension = vectors.shape[1]
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(dimension), dimension, _cells(len(vectors)), faiss.METRIC_INNER_PRODUCT
    )
    _train(index, index, vectors)
    return index


class _Compressed:
    """An inverted file of compressed vectors beside the vectors."""

    def __init__(self, vectors: Floats) -> None:
        self._vectors = vectors
        self._index = faiss.index_factory(
            vectors.shape[1],
            f"PCAR{_COMPONENTS},IVF{_cells(len(vectors))},PQ{_COMPONENTS // 2}x4fs",
            faiss.METRIC_INNER_PRODUCT,
        )
        _train(self._index, faiss.extract_index_ivf(self._index), vectors)

    def search(self, asked: Floats, count: int) -> tuple[Floats, NDArray[np.int64]]:
        """Return cosines and rows of the `count` nearest of each of `asked`, float32 (b, d)."""
        _, rows = self._index.search(asked, count * _RANKED)
        cosines = np.empty(rows.shape, np.float32)
        for start in range(0, len(asked), _GATHERED):
            some = slice(start, start + _GATHERED)
            cosines[some] = np.einsum("bd,bkd->bk", asked[some], self._vectors[rows[some]])
        cosines[rows < 0] = -np.inf
        # Of equal cosines the first row comes first, however the cells lie.
        order = np.lexsort((rows, -cosines))[:, :count]
        return np.take_along_axis(cosines, order, 1), np.take_along_axis(rows, order, 1)


def _train(index: faiss.Index, cells: faiss.IndexIVF, vectors: Floats) -> None:
    """Train an index on a sample of the vectors and add them all, a block at a time."""
    cells.cp.seed, cells.cp.niter = _SEED, _ROUNDS
    cells.cp.min_points_per_centroid, cells.cp.max_points_per_centroid = 1, _TRAINED_ON
    wanted = min(len(vectors), max(_TRAINED_ON * cells.nlist, 4 * _COMPONENTS))
    chosen = np.random.default_rng(_SEED).choice(len(vectors), wanted, replace=False)
    index.train(vectors[np.sort(chosen)])
    for start in range(0, len(vectors), _BLOCK):
        index.add(vectors[start : start + _BLOCK])
    cells.nprobe = _PROBES
