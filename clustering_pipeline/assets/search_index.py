"""What makes the category searchable by picture."""

import dagster as dg
import pandas as pd

from clustering_pipeline.assets.building import AssetRun, Sourced, stage_asset
from clustering_pipeline.manifests import WRITTEN_FILES
from clustering_pipeline.settings import CropSettings, EmbeddingSettings, LocalFeatureSettings, MatchSettings, SearchSettings
from clustering_pipeline.storage import FileTree


@stage_asset(WRITTEN_FILES, group="results", kinds=["faiss"])
def search_index(
    embeddings: pd.DataFrame,
    clusters: pd.DataFrame,
    catalogue: pd.DataFrame,
    crops: pd.DataFrame,
    raw_images: pd.DataFrame,
    clean_images: pd.DataFrame,
    local_features: pd.DataFrame,
    english_prompts: pd.DataFrame,
    crop_settings: CropSettings,
    feature_settings: LocalFeatureSettings,
    embedding_settings: EmbeddingSettings,
    match_settings: MatchSettings,
    settings: SearchSettings,
    run: AssetRun,
) -> Sourced:
    """The vectors of the category with their clusters, to find the listings that show what a picture shows."""
    from clustering_pipeline.prompts import read_prompts
    from clustering_pipeline.search import QuerySettings, build_index

    root = f"{run.workplace.storage_root}/outputs/{run.category}/search"
    result = build_index(
        embeddings,
        clusters,
        catalogue,
        crops,
        raw_images,
        clean_images,
        local_features,
        settings,
        run.stage,
        files=FileTree(root),
        query=QuerySettings(
            crops=crop_settings,
            local_features=feature_settings,
            embeddings=embedding_settings,
            matches=match_settings,
            prompts=tuple(read_prompts(english_prompts)),
        ),
    )
    return Sourced(result, metadata={"index": dg.MetadataValue.path(root)})
