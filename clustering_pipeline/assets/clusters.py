"""Which listings show one product model."""

import pandas as pd

from clustering_pipeline.assets.building import AssetRun, stage_asset
from clustering_pipeline.checks import CLUSTER_COUNT_JUMP, EVERY_LISTING, LARGEST_CLUSTER_SHARE, NO_MATCH_SHARE
from clustering_pipeline.manifests import CLUSTERS
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stage import StageResult


@stage_asset(
    CLUSTERS,
    group="clusters",
    kinds=["numpy"],
    checks=[EVERY_LISTING, NO_MATCH_SHARE, LARGEST_CLUSTER_SHARE, CLUSTER_COUNT_JUMP],
)
def clusters(
    catalogue: pd.DataFrame,
    raw_images: pd.DataFrame,
    crops: pd.DataFrame,
    clean_images: pd.DataFrame,
    semantic_duplicates: pd.DataFrame,
    embeddings: pd.DataFrame,
    matches: pd.DataFrame,
    corrections: pd.DataFrame,
    settings: ClusterSettings,
    run: AssetRun,
) -> StageResult:
    """The cluster of every listing, its confidence, and the number it keeps from week to week."""
    from clustering_pipeline.grouping import group_listings

    return group_listings(
        catalogue,
        raw_images,
        crops,
        clean_images,
        semantic_duplicates,
        embeddings,
        matches,
        corrections,
        settings,
        run.stage,
        run.category,
    )
