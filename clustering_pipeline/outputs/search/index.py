"""The index of a category: nearest vectors by cosine, all of them compared or inverted lists when
there are many; its files on disk; and the listings nearest to a vector, as a search sees them.

A version is a folder that is written completely before the small file beside it names it the
current one, so that a server that runs meanwhile sees the old one or the new one.
"""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.settings import (
    CropSettings,
    EmbeddingSettings,
    LocalFeatureSettings,
    MatchSettings,
    PipelineSettings,
)
from clustering_pipeline.stages.embedding import Reduction
from clustering_pipeline.stages.prompts import Prompt
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
    while probes < index.nlist and _recall(index, sample, truth, probes) < recall:
        probes = min(index.nlist, probes * 2)
    return probes


def _recall(
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
        candidates = rows[0][rows[0] >= 0]
        return _best(candidates, self.vectors[candidates] @ query, count)

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
        best = np.argpartition(-scores, count)[: 2 * count]
        rows, scores = rows[best], scores[best]
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
    return Path(files.location(path)) if files.is_local else None


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


def _remove_old(files: FileTree, current: set[str | None]) -> None:
    for name in files.list(""):
        if name not in current and name != CURRENT:
            files.filesystem.rm(files.location(name), recursive=True)


class QuerySettings(BaseModel):
    """The settings under which the vectors of an index were made, and the prompts of its
    detector.
    """

    model_config = ConfigDict(frozen=True)

    crops: CropSettings = CropSettings()
    local_features: LocalFeatureSettings = LocalFeatureSettings()
    embeddings: EmbeddingSettings = EmbeddingSettings()
    matches: MatchSettings = MatchSettings()
    prompts: tuple[Prompt, ...] = ()

    @classmethod
    def of(cls, settings: PipelineSettings) -> Self:
        """Return those of a category's settings, without prompts."""
        return cls(
            **{name: getattr(settings, name) for name in cls.model_fields if name != "prompts"}
        )


Mode = Literal["exact", "class", "cluster"]
MODES: tuple[str, ...] = get_args(Mode)
CLUSTER_DEPTH = 100


@dataclass(frozen=True)
class Hit:
    """A listing that a search found; the box is that of its crop, in pixels of the whole
    picture.
    """

    score: float
    listing: int
    product_base_id: str
    title: str
    url: str
    image_sha256: str
    box: tuple[int, int, int, int]
    crop_sha256: str
    features: str | None
    label: str
    cluster_id: int | None
    cluster_size: int
    status: str


class SearchIndex:
    """Finds the listings whose crops are nearest to a vector."""

    def __init__(self, parts: IndexFiles, version: str) -> None:
        self.version = version
        self.settings = QuerySettings.model_validate(parts.about["query"])
        self._table = parts.table
        self._listings = parts.listings.combine_chunks()
        self._rows = self._listings["row"].to_numpy()
        self._centres = np.asarray(parts.centres)
        self._ranges: list[tuple[int, int]] = [tuple(pair) for pair in parts.about["ranges"]]
        self._reduction = Reduction.from_bytes(parts.reduction) if parts.reduction else None

    @classmethod
    def load(cls, files: FileTree) -> "SearchIndex":
        """Open the current version below `files`, memory-mapped; raises StageError when there is
        none.
        """
        return cls(read_index(files), current_version(files) or "")

    def __len__(self) -> int:
        return len(self._table.vectors)

    @property
    def labels(self) -> list[str]:
        """The classes that the catalogue's crops were detected as."""
        return sorted(pc.unique(self._listings["label"].drop_null()).to_pylist())

    def query(
        self, vector: Vectors, top: int = 10, mode: Mode = "exact", label: str | None = None
    ) -> list[Hit]:
        """Return the `top` listings nearest to a vector, float32 (dimension,), the nearest first,
        each listing once.

        `exact` compares by cosine over all; `class` over the crops of the class `label`; `cluster`
        takes the cluster with the nearest centre (Euclid) and ranks the at most 100 nearest inside
        it. Raises InputError for a vector of another length, an unknown mode, or `class` without a
        label.
        """
        unit = self._checked(vector)
        checked_mode(mode)
        if len(self) == 0:
            return []
        if mode == "cluster":
            return self._hits(self._within_cluster(unit), top)
        allowed = self._of_class(label) if mode == "class" else None
        return self._search(unit, top, allowed)

    def placed(self, vector: Vectors) -> Vectors:
        """Return a vector of the encoder, float32 (d,), as the index's own were reduced; as it is
        where they were not.

        Raises InputError for an index that does not hold how its vectors were reduced.
        """
        if self.settings.embeddings.reduce == "none":
            return vector
        if self._reduction is None:
            raise InputError(
                "The index does not hold how its vectors were reduced (embeddings.reduce). "
                "Materialise embeddings and search_index again."
            )
        unit = vector / max(float(np.linalg.norm(vector)), 1e-12)
        reduced: Vectors = self._reduction(unit[None].astype(np.float32))[0]
        return reduced

    def find(self, product_base_id: str) -> list[Hit]:
        """Return the indexed pictures of a listing id, each with the score 1; empty when there is
        none.
        """
        rows = np.flatnonzero(
            pc.fill_null(
                pc.equal(self._listings["product_base_id"], product_base_id), False
            ).to_numpy()
        )
        return [_hit(row, 1.0) for row in self._listings.take(pa.array(rows)).to_pylist()]

    def titled(self, words: str, top: int) -> list[Hit]:
        """Return at most `top` listings whose title has all the words, whatever their case, in the
        order of the workbook.
        """
        wanted = words.casefold().split()
        titles = self._listings["title"].to_pylist()
        rows = [
            place
            for place, title in enumerate(titles)
            if title and all(word in title.casefold() for word in wanted)
        ]
        hits = [
            _hit(row, 1.0) for row in self._listings.take(pa.array(rows, pa.int64())).to_pylist()
        ]
        once = {hit.listing: hit for hit in hits}
        return [once[number] for number in sorted(once)][:top]

    def _checked(self, vector: Vectors) -> Vectors:
        vector = np.asarray(vector, np.float32).ravel()
        dimension = self._table.vectors.shape[1]
        if len(self) and len(vector) != dimension:
            raise InputError(
                f"The query has {len(vector)} numbers and the index {dimension}. The index was "
                "built with another encoder: materialise search_index again."
            )
        unit: Vectors = vector / max(float(np.linalg.norm(vector)), 1e-12)
        return unit

    def _of_class(self, label: str | None) -> NDArray[np.bool_]:
        if not label:
            raise InputError(
                "Searching within a class needs the class of the query picture. Take the mode "
                "exact."
            )
        allowed = np.zeros(len(self), bool)
        allowed[
            self._rows[pc.fill_null(pc.equal(self._listings["label"], label), False).to_numpy()]
        ] = True
        return allowed

    def _search(self, unit: Vectors, top: int, allowed: NDArray[np.bool_] | None) -> list[Hit]:
        # A listing with several pictures may come more than once, so more rows are asked for until
        # there are enough.
        depth = 2 * top
        while True:
            nearest = self._table.nearest(unit, min(depth, len(self)), allowed)
            hits = self._hits(nearest, top)
            if len(hits) == top or len(nearest.rows) < depth or depth >= len(self):
                return hits
            depth *= 4

    def _within_cluster(self, unit: Vectors) -> Nearest:
        if not self._ranges:
            return Nearest(np.zeros(0, np.int64), np.zeros(0, np.float32))
        first, last = self._ranges[int(np.square(self._centres - unit).sum(axis=1).argmin())]
        return self._table.nearest_among(unit, CLUSTER_DEPTH, first, last)

    def _hits(self, nearest: Nearest, top: int) -> list[Hit]:
        first, last = (
            np.searchsorted(self._rows, nearest.rows),
            np.searchsorted(self._rows, nearest.rows, "right"),
        )
        positions = np.concatenate(
            [np.arange(start, end) for start, end in zip(first, last, strict=True)] or [first]
        )
        scores = np.repeat(nearest.scores, last - first)
        _, first_hits = np.unique(
            self._listings["listing"].to_numpy()[positions], return_index=True
        )
        first_hits = np.sort(first_hits)[:top]
        rows = self._listings.take(pa.array(positions[first_hits])).to_pylist()
        return [
            _hit(row, float(score)) for row, score in zip(rows, scores[first_hits], strict=True)
        ]


def checked_mode(mode: str) -> Mode:
    """Return `mode` when there is such a mode; raises InputError."""
    if mode not in MODES:
        raise InputError(f"There is no search mode {mode!r}. Take one of {', '.join(MODES)}.")
    return cast(Mode, mode)


def _hit(row: dict[str, Any], score: float) -> Hit:
    return Hit(
        score=round(min(1.0, score), 6),
        listing=row["listing"],
        product_base_id=row["product_base_id"] or "",
        title=row["title"] or "",
        url=row["url"] or "",
        image_sha256=row["image_sha256"],
        box=(row["x0"], row["y0"], row["x1"], row["y1"]),
        crop_sha256=row["crop_sha256"],
        features=row["features"],
        label=row["label"] or "",
        cluster_id=row["cluster_id"],
        cluster_size=row["cluster_size"] or 0,
        status=row["status"] or "",
    )
