"""A search index over the small hand-written category of the report's tests."""

import numpy as np
import pandas as pd

from clustering_pipeline.core.manifests import EMBEDDINGS, LOCAL_FEATURES, conform
from clustering_pipeline.outputs.search import QuerySettings, build_index
from clustering_pipeline.settings import SearchSettings
from clustering_pipeline.storage import FileTree


def vector(number):
    """The vector of the picture `number`: pictures of one cluster lie close together."""
    cluster = [0, 0, 0, 1, 1, 2, 2, 3, 4][number]
    generator = np.random.default_rng(number)
    values = np.eye(8)[cluster] + 0.05 * generator.normal(size=8)
    return (values / np.linalg.norm(values)).astype(np.float32)


def embeddings(tables):
    """EMBEDDINGS of the category's kept crops."""
    order = tables.raw_images["image_sha256"].tolist()
    kept = tables.clean_images[tables.clean_images["status"] == "kept"]
    rows = [(row.crop_sha256, vector(order.index(row.image_sha256))) for row in kept.itertuples()]
    return conform(pd.DataFrame(rows, columns=["crop_sha256", "vector"]), EMBEDDINGS)


def local_features(tables):
    """LOCAL_FEATURES that name no blob."""
    frame = pd.DataFrame(dict.fromkeys(LOCAL_FEATURES.schema.names), index=range(0), dtype=object)
    return conform(frame, LOCAL_FEATURES)


def build(tables, context, folder, *, query=None, reduction=None, **settings):
    """Write the index of the category below `folder` and return the files and the stage's
    result.
    """
    files = FileTree(str(folder))
    result = build_index(
        embeddings=embeddings(tables),
        clusters=tables.clusters,
        catalogue=tables.catalogue,
        crops=tables.crops,
        raw_images=tables.raw_images,
        clean_images=tables.clean_images,
        local_features=local_features(tables),
        settings=SearchSettings(**settings),
        files=files,
        query=query or QuerySettings(),
        reduction=reduction,
    )
    return files, result
