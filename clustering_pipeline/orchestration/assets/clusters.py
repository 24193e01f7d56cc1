"""Matches, the corrections of people, and the clusters made of both."""

import pandas as pd

from clustering_pipeline.core.manifests import CLUSTERS, CORRECTIONS, MATCHES, conform
from clustering_pipeline.orchestration.assets.factory import AssetResult, AssetRun, stage_asset
from clustering_pipeline.orchestration.checks import CLUSTER_COUNT_JUMP, EVERY_LISTING, LARGEST_CLUSTER_SHARE, NO_MATCH_SHARE
from clustering_pipeline.orchestration.sync.sources import corrections_version
from clustering_pipeline.settings import ClusterSettings, MatchSettings
from clustering_pipeline.stages.contract import StageResult


@stage_asset(MATCHES, group="clusters", kinds=["opencv", "faiss"])
def matches(
    embeddings: pd.DataFrame,
    local_features: pd.DataFrame,
    clean_images: pd.DataFrame,
    crops: pd.DataFrame,
    raw_images: pd.DataFrame,
    catalogue: pd.DataFrame,
    semantic_duplicates: pd.DataFrame,
    settings: MatchSettings,
    run: AssetRun,
) -> StageResult:
    """Candidate pairs of crops, verified by local features and by the text on the pack."""
    from clustering_pipeline.stages.matching import match_crops

    return match_crops(
        embeddings, local_features, clean_images, crops, raw_images, catalogue, semantic_duplicates, settings, run.stage
    )


@stage_asset(CORRECTIONS, group="clusters", kinds=["sqlite"])
def corrections(catalogue: pd.DataFrame, run: AssetRun) -> AssetResult:
    """The statements of people that concern this category: same, different, keep, and the names of clusters."""
    statements = run.project.corrections.read(run.category)
    known = set(catalogue["product_base_id"].dropna())
    concerned = statements[statements["id_a"].isin(known) | statements["id_b"].isin(known) | statements["cluster_id"].notna()]
    facts = {
        "statements": len(concerned),
        **{f"statements_{kind}": int(n) for kind, n in concerned["kind"].value_counts().items()},
    }
    return AssetResult(StageResult(conform(concerned, CORRECTIONS), facts), corrections_version(statements))


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
    from clustering_pipeline.stages.clustering import cluster_listings

    return cluster_listings(
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
