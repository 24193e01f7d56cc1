"""Nearest vectors by cosine: all of them compared, or inverted lists when there are many."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

# The type stubs describe the C++ constructors, not the ones that the Python package puts in their
# place.
_Parameters: Any = faiss.SearchParametersIVF
_Bitmap: Any = faiss.IDSelectorBitmap

CALIBRATION_QUERIES = 200
CALIBRATION_DEPTH = 10


@dataclass(frozen=True)
class Nearest:
    """Rows of the vector table, nearest first, with their cosines."""

    rows: Rows
    scores: Vectors


def build_lists(vectors: Vectors, recall: float, seed: int) -> faiss.IndexIVFScalarQuantizer:
    """Return inverted lists (Sivic and Zisserman 2003; float16 codes) over unit vectors, float32
    (count, dimension).

    As many lists are looked into as it takes to find the share `recall` of the ten nearest
    neighbours of sampled rows.
    """
    count, dimension = vectors.shape
    lists = max(1, int(2 * np.sqrt(count)))
    quantizer = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFScalarQuantizer(
        quantizer,
        dimension,
        lists,
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        False,
    )
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = seed, 10, 64
    index.train(vectors)
    index.add(vectors)
    index.nprobe = _calibrated_probes(index, vectors, recall, seed)
    return index


def _calibrated_probes(
    index: faiss.IndexIVFScalarQuantizer, vectors: Vectors, recall: float, seed: int
) -> int:
    generator = np.random.default_rng(seed)
    sample = vectors[
        np.sort(
            generator.choice(len(vectors), min(CALIBRATION_QUERIES, len(vectors)), replace=False)
        )
    ]
    _, truth = faiss.knn(sample, vectors, CALIBRATION_DEPTH, metric=faiss.METRIC_INNER_PRODUCT)
    probes = 1
    while probes < index.nlist and _found(index, sample, truth, probes) < recall:
        probes = min(index.nlist, probes * 2)
    return probes


def _found(
    index: faiss.IndexIVFScalarQuantizer, queries: Vectors, truth: Rows, probes: int
) -> float:
    _, rows = index.search(queries, truth.shape[1], params=_Parameters(nprobe=probes))
    return float(
        np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(rows, truth, strict=True)])
    )


class VectorTable:
    """Unit vectors that may lie in a memory-mapped file, with inverted lists over them when there
    are many.
    """

    def __init__(
        self, vectors: Vectors, lists: faiss.IndexIVFScalarQuantizer | None = None
    ) -> None:
        """`vectors`: float32 (count, dimension) of unit length."""
        self.vectors = vectors
        self.lists = lists

    def nearest(
        self, query: Vectors, count: int, allowed: NDArray[np.bool_] | None = None
    ) -> Nearest:
        """Return the `count` rows nearest to a unit query, float32 (dimension,), among those
        `allowed` (bool (count,)).
        """
        find: Callable[..., Nearest] = (
            self._compare_all if self.lists is None else self._look_into_lists
        )
        return find(query, count, allowed)

    def nearest_among(self, query: Vectors, count: int, first: int, last: int) -> Nearest:
        """Return the nearest of the consecutive rows first ≤ row < last."""
        return _best(np.arange(first, last), self.vectors[first:last] @ query, count)

    def _compare_all(
        self, query: Vectors, count: int, allowed: NDArray[np.bool_] | None
    ) -> Nearest:
        rows = np.arange(len(self.vectors)) if allowed is None else np.flatnonzero(allowed)
        return _best(rows, (self.vectors @ query)[rows], count)

    def _look_into_lists(
        self, query: Vectors, count: int, allowed: NDArray[np.bool_] | None
    ) -> Nearest:
        assert self.lists is not None
        _, rows = self.lists.search(query[None], count, params=self._parameters(allowed))
        found = rows[0][rows[0] >= 0]
        return _best(found, self.vectors[found] @ query, count)

    def _parameters(self, allowed: NDArray[np.bool_] | None) -> Any:
        assert self.lists is not None
        if allowed is None:
            return _Parameters(nprobe=self.lists.nprobe)
        # The fewer rows are allowed, the more lists have to be opened to meet as many of them.
        probes = min(
            self.lists.nlist, int(np.ceil(self.lists.nprobe * len(allowed) / max(1, allowed.sum())))
        )
        bits = np.packbits(allowed, bitorder="little")
        return _Parameters(nprobe=probes, sel=_Bitmap(bits))


def _best(rows: Rows, scores: Vectors, count: int) -> Nearest:
    if len(rows) > 4 * count:
        kept = np.argpartition(-scores, count)[: 2 * count]
        rows, scores = rows[kept], scores[kept]
    order = np.lexsort((rows, -scores))[:count]
    return Nearest(rows[order], scores[order])
