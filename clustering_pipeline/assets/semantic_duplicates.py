"""Pictures that are the same to the encoder."""

import pandas as pd

from clustering_pipeline.assets.building import AssetRun, stage_asset
from clustering_pipeline.manifests import SEMANTIC_DUPLICATES
from clustering_pipeline.settings import EmbeddingSettings, SemanticDuplicateSettings
from clustering_pipeline.stage import StageResult


@stage_asset(SEMANTIC_DUPLICATES, group="features", kinds=["faiss"])
def semantic_duplicates(
    embeddings: pd.DataFrame,
    clean_images: pd.DataFrame,
    encoder: EmbeddingSettings,
    settings: SemanticDuplicateSettings,
    run: AssetRun,
) -> StageResult:
    """Near-identical pictures by embedding, each checked against the keeper that stands for it."""
    from clustering_pipeline.deduplication import find_semantic_duplicates

    return find_semantic_duplicates(embeddings, clean_images, encoder.encoder, settings, run.stage)
