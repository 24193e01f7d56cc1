"""What people said about the result."""

import pandas as pd

from clustering_pipeline.assets.building import AssetRun, Sourced, stage_asset
from clustering_pipeline.assets.sources import corrections_version
from clustering_pipeline.manifests import CORRECTIONS, conform
from clustering_pipeline.stage import StageResult


@stage_asset(CORRECTIONS, group="clusters", kinds=["sqlite"])
def corrections(catalogue: pd.DataFrame, run: AssetRun) -> Sourced:
    """The statements of people that concern this category: same, different, keep, and the names of clusters."""
    statements = run.workplace.corrections.read(run.category)
    known = set(catalogue["product_base_id"].dropna())
    concerned = statements[statements["id_a"].isin(known) | statements["id_b"].isin(known) | statements["cluster_id"].notna()]
    facts = {
        "statements": len(concerned),
        **{f"statements_{kind}": int(n) for kind, n in concerned["kind"].value_counts().items()},
    }
    return Sourced(StageResult(conform(concerned, CORRECTIONS), facts), corrections_version(statements))
