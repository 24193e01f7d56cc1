"""The semantic_duplicates stage: near-identical pictures by their embeddings, each checked against
its keeper.
"""

from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.core.graph import Indices
from clustering_pipeline.core.manifests import SEMANTIC_DUPLICATES, conform
from clustering_pipeline.core.progress import Fact
from clustering_pipeline.core.vectors import nearest
from clustering_pipeline.imaging import decode_image
from clustering_pipeline.settings import (
    CleanImageSettings,
    EmbeddingSettings,
    SemanticDuplicateSettings,
)
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.stages.deduplication.appearance import is_one_picture
from clustering_pipeline.stages.deduplication.keepers import (
    Merits,
    NearRows,
    distinct_pairs,
    find_keepers,
    members_of,
)
from clustering_pipeline.stages.deduplication.looks import Looks, look_at
from clustering_pipeline.stages.deduplication.overrides_stage import overruled

Vectors = NDArray[np.float32]

# Cosine above which two vectors of an encoder are one picture; for encoders that are not listed,
# DEFAULT_THRESHOLD. `local`: all pairs above 0.8 of real shop photos showed one product, synthetic
# siblings reached 0.81. CLIP ViT-B/32: unrelated fashion products lie at a median of 0.78 and a
# 99th percentile of 0.915.
THRESHOLDS = {"efficientnet": 0.98, "local": 0.92, "clip": 0.985, "resnet50-ibn": 0.9}
DEFAULT_THRESHOLD = 0.985
_QUERIES = 4096
# Of more crops only the nearest of each are looked at, copies being the nearest.
MOST_EXACT, NEAREST = 50_000, 48


def run(
    *,
    embeddings: pd.DataFrame,
    clean_images: pd.DataFrame,
    overruled_pictures: pd.DataFrame,
    embedding_settings: EmbeddingSettings,
    settings: SemanticDuplicateSettings,
    filter_settings: CleanImageSettings,
    context: StageContext,
) -> StageResult:
    """Name the keeper of every embedded crop; manifest SEMANTIC_DUPLICATES, a crop without
    duplicates is its own keeper.

    Crops whose unit-length vectors reach the threshold in cosine are joined, then each is checked
    against its keeper and released when it does not reach the threshold itself, or when print or
    colours differ somewhere. With `found: reject` all but the keepers have a reason, and
    `overruled_pictures` and the setting `keep` spare pictures and crops from that.
    """
    ordered = embeddings.sort_values("crop_sha256", ignore_index=True)
    rows = clean_images.set_index("crop_sha256", drop=False).reindex(ordered["crop_sha256"])
    vectors = stack(ordered["vector"])
    threshold = _threshold(settings, embedding_settings.encoder)
    keeper, similarity = _assign_keepers(vectors, rows, threshold, filter_settings, context)
    digests = rows.index.to_numpy(object)
    frame = pd.DataFrame(
        {
            "crop_sha256": digests,
            "keeper": digests[keeper],
            "similarity": similarity,
            "reason": None,
        }
    )
    linked = frame["keeper"] != frame["crop_sha256"]
    if settings.found == "reject":
        spared = overruled(
            rows, (*filter_settings.keep, *overruled_pictures["image_sha256"])
        ).to_numpy(bool)
        frame.loc[spared, "keeper"], frame.loc[spared, "similarity"] = (
            frame.loc[spared, "crop_sha256"],
            1.0,
        )
        linked &= ~spared
        frame.loc[linked, "reason"] = [_reason(row) for row in frame[linked].itertuples()]
    facts: dict[str, Fact] = {
        "crops": len(frame),
        "linked" if settings.found == "link" else "rejected": int(linked.sum()),
        "cosine_threshold": threshold,
    }
    return StageResult(conform(frame, SEMANTIC_DUPLICATES), facts)


def _threshold(settings: SemanticDuplicateSettings, encoder: str) -> float:
    return (
        THRESHOLDS.get(encoder, DEFAULT_THRESHOLD)
        if settings.threshold is None
        else settings.threshold
    )


def _reason(row: Any) -> str:
    return f"nearly the same picture as {row.keeper[:12]}: cosine {row.similarity:.4f}"


def _assign_keepers(
    vectors: Vectors,
    rows: pd.DataFrame,
    threshold: float,
    filters: CleanImageSettings,
    context: StageContext,
) -> tuple[Indices, NDArray[np.float64]]:
    """Return the row of the keeper of every row, and the cosine to it."""
    near = near_pairs(vectors, threshold)
    with look_at(rows, near.rows(), filters, context) as looks:

        def holds(row: int, others: Indices) -> NDArray[np.bool_]:
            near = _cosines(vectors, row, others) >= threshold
            near[near] = [_is_one_picture(looks, row, int(other)) for other in others[near]]
            return near

        with context.progress.track("Near-identical pictures", len(rows), "crop") as bar:
            merits = _merits(rows, looks, filters)
            keeper = find_keepers(
                near, merits, holds, lambda some: near_pairs(vectors[some], threshold)
            )
            bar.advance(len(rows))
    similarity = np.ones(len(rows))
    for king, members in members_of(keeper).items():
        similarity[members] = _cosines(vectors, king, members)
    return keeper, similarity


def _is_one_picture(looks: Looks, first: int, second: int) -> bool:
    """Whether print and colours agree as well, which no vector sees; a picture that cannot be read
    stands for itself.
    """
    one, other = looks.picture(first), looks.picture(second)
    if one is None or other is None:
        return False
    return one == other or is_one_picture(decode_image(one), decode_image(other))


def stack(vectors: pd.Series) -> Vectors:
    """Return a column of vectors as float32 (n, d)."""
    return (
        np.ascontiguousarray(np.stack(list(vectors)), np.float32)
        if len(vectors)
        else np.zeros((0, 1), np.float32)
    )


def near_pairs(vectors: Vectors, threshold: float) -> NearRows:
    """Return the pairs of unit-length rows, float32 (n, d), whose cosine is at least `threshold`;
    of more than `MOST_EXACT` rows those of the `NEAREST` of each.
    """
    is_exact = len(vectors) <= MOST_EXACT
    blocks = _all_above(vectors, threshold) if is_exact else _nearest_above(vectors, threshold)
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    first, second = (np.concatenate(side) for side in zip(nothing, *blocks, strict=True))
    return distinct_pairs(first, second, len(vectors), is_exact=is_exact)


def _all_above(vectors: Vectors, threshold: float) -> Iterator[tuple[Indices, Indices]]:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    for start in range(0, len(vectors), _QUERIES):
        # FAISS keeps what lies strictly above the radius.
        limits, _, neighbours = index.range_search(
            vectors[start : start + _QUERIES], np.nextafter(threshold, -1)
        )
        rows = start + np.repeat(np.arange(len(limits) - 1), np.diff(limits).astype(np.int64))
        later = neighbours > rows
        yield rows[later], neighbours[later]


def _nearest_above(vectors: Vectors, threshold: float) -> Iterator[tuple[Indices, Indices]]:
    for block in nearest(vectors, NEAREST + 1, exact_up_to=0):
        rows, places = np.nonzero((block.cosines >= threshold) & (block.rows >= 0))
        yield rows + block.start, block.rows[rows, places]


def _cosines(vectors: Vectors, row: int, others: Indices) -> NDArray[np.float64]:
    cosines: NDArray[np.float64] = vectors[others].astype(np.float64) @ vectors[row].astype(
        np.float64
    )
    return np.minimum(cosines, 1.0)


def _merits(rows: pd.DataFrame, looks: Looks, filters: CleanImageSettings) -> Merits:
    """Return the merits by which the perceptual filter chooses too."""
    return Merits(
        acceptable=np.ones(len(rows), np.bool_),
        sharp=(rows["sharpness"] >= filters.limits().sharpness).to_numpy(bool, na_value=False),
        detail=looks.edges,
        pixels=((rows["x1"] - rows["x0"]) * (rows["y1"] - rows["y0"])).to_numpy(
            np.float64, na_value=0
        ),
        file_size=np.zeros(len(rows)),
        background=looks.background,
    )
