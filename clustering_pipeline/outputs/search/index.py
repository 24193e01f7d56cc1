"""The index of a category: nearest vectors by cosine, all of them compared or inverted lists when
there are many, and its files on disk.

A version is a folder that is written completely before the small file beside it names it the
current one, so that a server that runs meanwhile sees the old one or the new one.
"""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.storage import FileTree

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
# The type stubs describe the C++ constructors, not the ones that the Python package puts in their
# place.
_Parameters: Any = faiss.SearchParametersIVF
_Bitmap: Any = faiss.IDSelectorBitmap
CALIBRATION_QUERIES = 200
CALIBRATION_DEPTH = 10
CURRENT = "current.json"
VECTORS, LISTS, LISTINGS, CENTRES, ABOUT = (
    "vectors.npy",
    "lists.faiss",
    "listings.parquet",
    "centres.npy",
    "about.json",
)
REDUCTION = "reduction.npz"


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


@dataclass(frozen=True)
class IndexFiles:
    """The parts of an index in memory or mapped from disk."""

    table: VectorTable
    listings: pa.Table
    centres: Vectors
    about: dict[str, Any]
    reduction: bytes | None = None


def write_index(files: FileTree, parts: IndexFiles) -> dict[str, bytes]:
    """Write a version, make it the current one, remove those before the last, and return the files
    by path.
    """
    contents = _contents(parts)
    version = hashlib.sha256(
        b"".join(hashlib.sha256(content).digest() for content in contents.values())
    ).hexdigest()[:24]
    paths = {f"{version}/{name}": content for name, content in contents.items()}
    for path, content in paths.items():
        files.write(path, content)
    before = current_version(files)
    files.write(CURRENT, json.dumps({"version": version, "files": sorted(contents)}).encode())
    _remove_old(files, {version, before})
    return paths


def current_version(files: FileTree) -> str | None:
    """Return the name of the version that searches should use; None before the first one."""
    if not files.exists(CURRENT):
        return None
    return str(json.loads(files.read(CURRENT))["version"])


def read_index(files: FileTree) -> IndexFiles:
    """Open the current version, memory-mapped where the files are local; raises StageError when
    there is none.
    """
    version = current_version(files)
    if version is None:
        raise StageError(
            f"There is no search index at {files.root}. Run the category, or materialise its "
            f"search_index, and search again."
        )
    lists = _open_lists(files, f"{version}/{LISTS}") if files.exists(f"{version}/{LISTS}") else None
    return IndexFiles(
        table=VectorTable(_open_array(files, f"{version}/{VECTORS}"), lists),
        listings=pq.read_table(io.BytesIO(files.read(f"{version}/{LISTINGS}"))),
        centres=_open_array(files, f"{version}/{CENTRES}"),
        about=json.loads(files.read(f"{version}/{ABOUT}")),
        reduction=(
            files.read(f"{version}/{REDUCTION}") if files.exists(f"{version}/{REDUCTION}") else None
        ),
    )


def _contents(parts: IndexFiles) -> dict[str, bytes]:
    listings = io.BytesIO()
    pq.write_table(parts.listings, listings, compression="zstd")
    contents = {
        VECTORS: _array_bytes(parts.table.vectors),
        LISTINGS: listings.getvalue(),
        CENTRES: _array_bytes(parts.centres),
        ABOUT: json.dumps(parts.about, sort_keys=True, ensure_ascii=False).encode(),
    }
    if parts.table.lists is not None:
        contents[LISTS] = faiss.serialize_index(parts.table.lists).tobytes()
    if parts.reduction is not None:
        contents[REDUCTION] = parts.reduction
    return contents


def _array_bytes(array: Vectors) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _local_path(files: FileTree, path: str) -> Path | None:
    return Path(files.location(path)) if isinstance(files.filesystem, LocalFileSystem) else None


def _open_array(files: FileTree, path: str) -> Vectors:
    local = _local_path(files, path)
    array: Vectors = (
        np.load(local, mmap_mode="r", allow_pickle=False)
        if local
        else np.load(io.BytesIO(files.read(path)), allow_pickle=False)
    )
    return array


def _open_lists(files: FileTree, path: str) -> faiss.IndexIVFScalarQuantizer:
    local = _local_path(files, path)
    index = (
        faiss.read_index(str(local), faiss.IO_FLAG_MMAP)
        if local
        else faiss.deserialize_index(np.frombuffer(files.read(path), np.uint8))
    )
    assert isinstance(index, faiss.IndexIVFScalarQuantizer)
    return index


def _remove_old(files: FileTree, kept: set[str | None]) -> None:
    for name in files.list(""):
        if name not in kept and name != CURRENT:
            files.filesystem.rm(files.location(name), recursive=True)
