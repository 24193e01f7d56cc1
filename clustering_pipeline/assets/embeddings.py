"""The vector of every kept crop."""

import pandas as pd

from clustering_pipeline.assets.building import AssetRun, stage_asset
from clustering_pipeline.automation.pools import GPU
from clustering_pipeline.manifests import EMBEDDINGS
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stage import StageResult


@stage_asset(EMBEDDINGS, group="features", kinds=["numpy"], pool=GPU)
def embeddings(
    clean_images: pd.DataFrame, local_features: pd.DataFrame, settings: EmbeddingSettings, run: AssetRun
) -> StageResult:
    """The unit-length vector that the chosen encoder gives to each kept crop."""
    from clustering_pipeline.embedding import embed_crops

    return embed_crops(clean_images, local_features, settings, run.stage)
