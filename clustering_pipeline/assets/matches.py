"""Which crops show the same product, with the evidence."""

import pandas as pd

from clustering_pipeline.assets.building import AssetRun, stage_asset
from clustering_pipeline.manifests import MATCHES
from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stage import StageResult


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
    from clustering_pipeline.matching import match_crops

    return match_crops(
        embeddings, local_features, clean_images, crops, raw_images, catalogue, semantic_duplicates, settings, run.stage
    )
