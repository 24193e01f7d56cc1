"""Builds the search index of a category: every kept crop's vector, and the listings that show
it.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from clustering_pipeline.core.graph import perceptual_keepers
from clustering_pipeline.core.manifests import COUNT, TEXT, WRITTEN_FILES, columns, conform
from clustering_pipeline.outputs.search.index import (
    IndexFiles,
    QuerySettings,
    Vectors,
    VectorTable,
    build_lists,
    write_index,
)
from clustering_pipeline.settings import SearchSettings
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.stages.embedding import Reduction, read_reduction
from clustering_pipeline.stages.prompts import read_prompts
from clustering_pipeline.storage import FileTree

LISTINGS = pa.schema(
    [
        *columns(COUNT, "row", "listing"),
        *columns(TEXT, "product_base_id", "title", "url", "image_sha256"),
        *columns(COUNT, "x0", "y0", "x1", "y1"),
        *columns(TEXT, "crop_sha256", "features", "label"),
        *columns(COUNT, "cluster_id", "cluster_size"),
        ("status", TEXT),
    ]
)
NO_CLUSTER = -1
FRAMES = (
    "embeddings",
    "clusters",
    "catalogue",
    "crops",
    "raw_images",
    "clean_images",
    "local_features",
)


def index_category(
    frames: Mapping[str, pd.DataFrame],
    query: QuerySettings,
    settings: SearchSettings,
    context: StageContext,
    files: FileTree,
) -> StageResult:
    """Build the index of a category whose stages have run.

    `frames` by the names of their manifests; `query`: the settings that the stages ran with, whose
    prompts are those of the frames.
    """
    return build_index(
        **{name: frames[name] for name in FRAMES},
        settings=settings,
        files=files,
        query=query.model_copy(update={"prompts": tuple(read_prompts(frames["english_prompts"]))}),
        reduction=read_reduction(query.embeddings, context),
    )


def build_index(
    *,
    embeddings: pd.DataFrame,
    clusters: pd.DataFrame,
    catalogue: pd.DataFrame,
    crops: pd.DataFrame,
    raw_images: pd.DataFrame,
    clean_images: pd.DataFrame,
    local_features: pd.DataFrame,
    settings: SearchSettings,
    files: FileTree,
    query: QuerySettings,
    reduction: Reduction | None = None,
) -> StageResult:
    """Write the index of one category below `files` and return the list of files (WRITTEN_FILES).

    A row of the index is a kept crop; the rows of a cluster lie together. Duplicates are found
    through their keeper. `query`: the settings under which the vectors were made, and `reduction`
    how they were reduced; they are recorded, and a query picture is treated by them.
    """
    shown = (
        _crops_of_listings(crops, raw_images, clean_images)
        .merge(local_features[["crop_sha256", "features"]], on="crop_sha256", how="left")
        .merge(catalogue[["listing", "product_base_id", "title"]], on="listing")
        .merge(clusters[["listing", "cluster_id", "cluster_size", "status"]], on="listing")
    )
    order = _rows_by_cluster(embeddings, shown)
    vectors = _unit_vectors(order)
    shown = shown.merge(order[["crop_sha256", "row"]], on="crop_sha256").sort_values(
        ["row", "listing"]
    )
    lists = (
        build_lists(vectors, settings.recall, settings.seed)
        if len(vectors) > settings.exact_below
        else None
    )
    centres, about = _centres(order, vectors, query)
    table = pa.Table.from_pandas(
        shown[LISTINGS.names], schema=LISTINGS, preserve_index=False
    ).replace_schema_metadata()
    parts = IndexFiles(
        VectorTable(vectors, lists),
        table,
        centres,
        about,
        reduction.to_bytes() if reduction else None,
    )
    paths = write_index(files, parts)
    written = [
        (path, hashlib.sha256(content).hexdigest(), len(vectors)) for path, content in paths.items()
    ]
    facts = {
        "vectors": len(vectors),
        "listings": int(shown["listing"].nunique()),
        "megabytes": round(sum(map(len, paths.values())) / 1e6, 3),
        "lists_searched": int(lists.nprobe) if lists else 0,
        "lists": int(lists.nlist) if lists else 0,
    }
    return StageResult(
        conform(pd.DataFrame(written, columns=WRITTEN_FILES.schema.names), WRITTEN_FILES), facts
    )


def _crops_of_listings(
    crops: pd.DataFrame, raw_images: pd.DataFrame, clean_images: pd.DataFrame
) -> pd.DataFrame:
    """Return a row per kept crop and listing that shows it, itself or through a duplicate."""
    pictures = raw_images.loc[
        raw_images["image_sha256"].notna(), ["listing", "position", "image_sha256", "url"]
    ]
    crops = crops[crops["crop_sha256"].notna()]
    shown = crops[["image_sha256", "crop_sha256", "label"]].rename(
        columns={"crop_sha256": "own_crop"}
    )
    keepers = pd.DataFrame(
        perceptual_keepers(clean_images).items(), columns=["own_crop", "crop_sha256"], dtype=object
    )
    own = crops.drop_duplicates("crop_sha256")[
        ["crop_sha256", "image_sha256", "x0", "y0", "x1", "y1"]
    ]
    rows = pictures.merge(shown, on="image_sha256").merge(keepers, on="own_crop")
    rows = rows.sort_values(["crop_sha256", "listing", "position"]).drop_duplicates(
        ["crop_sha256", "listing"]
    )
    return rows.drop(columns="image_sha256").merge(own, on="crop_sha256")


def _rows_by_cluster(embeddings: pd.DataFrame, shown: pd.DataFrame) -> pd.DataFrame:
    """Return the embeddings that some listing shows, ordered by cluster and crop, with their row
    number.
    """
    first = shown.sort_values("listing").drop_duplicates("crop_sha256")[
        ["crop_sha256", "cluster_id"]
    ]
    order = embeddings.merge(first, on="crop_sha256")
    order["cluster_id"] = order["cluster_id"].fillna(NO_CLUSTER)
    order = order.sort_values(["cluster_id", "crop_sha256"], ignore_index=True)
    order["row"] = np.arange(len(order))
    return order


def _unit_vectors(order: pd.DataFrame) -> Vectors:
    if len(order) == 0:
        return np.zeros((0, 1), np.float32)
    vectors = np.stack([np.asarray(vector, np.float32) for vector in order["vector"]])
    unit: Vectors = vectors / np.maximum(
        np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12)
    )
    return unit


def _centres(
    order: pd.DataFrame, vectors: Vectors, query: QuerySettings
) -> tuple[Vectors, dict[str, Any]]:
    """Return the clusters' mean vectors, and the description of the index with each cluster's range
    of rows.
    """
    numbers = order["cluster_id"].to_numpy(np.int64)
    clusters, first, count = np.unique(numbers[numbers >= 0], return_index=True, return_counts=True)
    first = first + int((numbers < 0).sum())
    ranges = [(int(start), int(start + size)) for start, size in zip(first, count, strict=True)]
    centres = np.array([vectors[start:end].mean(axis=0) for start, end in ranges], np.float32)
    about = {
        "clusters": [int(number) for number in clusters],
        "ranges": ranges,
        "query": query.model_dump(mode="json"),
    }
    return centres.reshape(len(ranges), vectors.shape[1]), about
