"""The semantic_duplicates stage: near-identical pictures by their embeddings, each checked against its keeper."""

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.deduplication.components import Indices, components
from clustering_pipeline.deduplication.keepers import Merits, assign
from clustering_pipeline.manifests import SEMANTIC_DUPLICATES, conform
from clustering_pipeline.settings import SemanticDuplicateSettings
from clustering_pipeline.stage import StageContext, StageResult

Vectors = NDArray[np.float32]

# Cosine above which two vectors of an encoder are one picture; for encoders that are not listed, DEFAULT_THRESHOLD.
# `local`: all pairs above 0.8 of real shop photos showed one product, synthetic siblings reached 0.81. CLIP ViT-B/32: unrelated
# fashion products lie at a median of 0.78 and a 99th percentile of 0.915.
THRESHOLDS = {"local": 0.92, "clip": 0.985, "resnet50-ibn": 0.9}
DEFAULT_THRESHOLD = 0.985
_QUERIES = 4096


def find_semantic_duplicates(
    embeddings: pd.DataFrame,
    clean_images: pd.DataFrame,
    encoder: str,
    settings: SemanticDuplicateSettings,
    context: StageContext,
) -> StageResult:
    """Name the keeper of every embedded crop; manifest SEMANTIC_DUPLICATES, a crop without duplicates is its own keeper.

    Crops whose unit-length vectors reach the threshold in cosine are joined, then each is checked against its keeper and
    released when it does not reach the threshold itself.
    """
    ordered = embeddings.sort_values("crop_sha256", ignore_index=True)
    digests = ordered["crop_sha256"].to_numpy(object)
    vectors = stack(ordered["vector"])
    threshold = THRESHOLDS.get(encoder, DEFAULT_THRESHOLD) if settings.threshold is None else settings.threshold
    keeper, similarity = np.arange(len(digests)), np.ones(len(digests))
    merits = _merits(clean_images, digests)
    with context.progress.track("Near-identical pictures", len(digests), "crop") as bar:
        for group in components(len(digests), *near_pairs(vectors, threshold)):
            for king, members in assign(group, merits, lambda row, others: _cosines(vectors, row, others) >= threshold):
                keeper[members], similarity[members] = king, _cosines(vectors, king, members)
        bar.advance(len(digests))
    frame = pd.DataFrame({"crop_sha256": digests, "keeper": digests[keeper], "similarity": similarity})
    linked = int((keeper != np.arange(len(digests))).sum())
    facts: dict[str, int | float | str] = {"crops": len(digests), "linked to a keeper": linked, "cosine threshold": threshold}
    return StageResult(conform(frame, SEMANTIC_DUPLICATES), facts)


def stack(vectors: pd.Series) -> Vectors:
    """Return a column of vectors as float32 (n, d)."""
    return np.ascontiguousarray(np.stack(list(vectors)), np.float32) if len(vectors) else np.zeros((0, 1), np.float32)


def near_pairs(vectors: Vectors, threshold: float) -> tuple[Indices, Indices]:
    """Return the pairs first < second of unit-length rows, float32 (n, d), whose cosine is at least `threshold`."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    first: list[Indices] = []
    second: list[Indices] = []
    for start in range(0, len(vectors), _QUERIES):
        # FAISS keeps what lies strictly above the radius.
        limits, _, neighbours = index.range_search(vectors[start : start + _QUERIES], np.nextafter(threshold, -1))
        rows = start + np.repeat(np.arange(len(limits) - 1), np.diff(limits).astype(np.int64))
        later = neighbours > rows
        first.append(rows[later])
        second.append(neighbours[later])
    nothing = np.zeros(0, np.int64)
    return np.concatenate([nothing, *first]), np.concatenate([nothing, *second])


def _cosines(vectors: Vectors, row: int, others: Indices) -> NDArray[np.float64]:
    cosines: NDArray[np.float64] = vectors[others].astype(np.float64) @ vectors[row].astype(np.float64)
    return np.minimum(cosines, 1.0)


def _merits(clean_images: pd.DataFrame, digests: NDArray[np.object_]) -> Merits:
    rows = clean_images.set_index("crop_sha256").reindex(digests)
    pixels = ((rows["x1"] - rows["x0"]) * (rows["y1"] - rows["y0"])).to_numpy(np.float64, na_value=0)
    everything, nothing = np.ones(len(digests), np.bool_), np.zeros(len(digests))
    detail = rows["detail"].to_numpy(np.float64, na_value=0) * pixels
    return Merits(everything, everything, detail, pixels, nothing, nothing)
