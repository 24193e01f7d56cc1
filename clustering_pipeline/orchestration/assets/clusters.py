"""Matches, the corrections of people, and the clusters made of both."""

import pandas as pd

from clustering_pipeline.core.manifests import CORRECTIONS, conform
from clustering_pipeline.orchestration.assets.factory import (
    AssetResult,
    AssetRun,
    project_asset,
    stage_asset,
)
from clustering_pipeline.orchestration.checks import (
    CLUSTER_COUNT_JUMP,
    EVERY_LISTING,
    LARGEST_CLUSTER_SHARE,
    NO_MATCH_SHARE,
)
from clustering_pipeline.orchestration.sync.lineage import corrections_version
from clustering_pipeline.stages.contract import StageResult

matches = stage_asset(
    "matches",
    description="Candidate pairs of crops, verified by local features and by the text on the pack.",
    group="clusters",
    kinds=["opencv", "faiss"],
)


@project_asset(CORRECTIONS, group="clusters", kinds=["sqlite"])
def corrections(catalogue: pd.DataFrame, run: AssetRun) -> AssetResult:
    """The statements of people that concern this category: same, different, keep, and the names of
    clusters.
    """
    statements = run.project.corrections.manifest(run.category)
    identifiers = set(catalogue["product_base_id"].dropna())
    concerned = statements[
        statements["id_a"].isin(identifiers)
        | statements["id_b"].isin(identifiers)
        | statements["cluster_id"].notna()
    ]
    facts = {
        "statements": len(concerned),
        **{f"statements_{kind}": int(n) for kind, n in concerned["kind"].value_counts().items()},
    }
    return AssetResult(
        StageResult(conform(concerned, CORRECTIONS), facts), corrections_version(statements)
    )


clusters = stage_asset(
    "clusters",
    description="The cluster of every listing, its confidence, and the number it keeps from week "
    "to week.",
    group="clusters",
    kinds=["numpy"],
    checks=[EVERY_LISTING, NO_MATCH_SHARE, LARGEST_CLUSTER_SHARE, CLUSTER_COUNT_JUMP],
)
