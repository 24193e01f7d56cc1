"""The index as a search sees it: the listings nearest to a vector."""

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.outputs.search.index import (
    IndexFiles,
    Nearest,
    Vectors,
    current_version,
    read_index,
)
from clustering_pipeline.settings import (
    CropSettings,
    EmbeddingSettings,
    LocalFeatureSettings,
    MatchSettings,
)
from clustering_pipeline.stages.embedding import Reduction
from clustering_pipeline.stages.prompts import Prompt
from clustering_pipeline.storage import FileTree


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
        found = np.flatnonzero(
            pc.fill_null(
                pc.equal(self._listings["product_base_id"], product_base_id), False
            ).to_numpy()
        )
        return [_hit(row, 1.0) for row in self._listings.take(pa.array(found)).to_pylist()]

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
        found = [
            _hit(row, 1.0) for row in self._listings.take(pa.array(rows, pa.int64())).to_pylist()
        ]
        once = {hit.listing: hit for hit in found}
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
        _, kept = np.unique(self._listings["listing"].to_numpy()[positions], return_index=True)
        kept = np.sort(kept)[:top]
        rows = self._listings.take(pa.array(positions[kept])).to_pylist()
        return [_hit(row, float(score)) for row, score in zip(rows, scores[kept], strict=True)]


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
