"""What is computed of each kept crop: local features, embedding, and duplicates by embedding."""

import pandas as pd

from clustering_pipeline.core.manifests import EMBEDDINGS, LOCAL_FEATURES, SEMANTIC_DUPLICATES
from clustering_pipeline.orchestration.assets.factory import AssetResult, AssetRun, page_link, stage_asset
from clustering_pipeline.orchestration.runtime.pools import GPU
from clustering_pipeline.settings import CleanImageSettings, EmbeddingSettings, LocalFeatureSettings, SemanticDuplicateSettings
from clustering_pipeline.stages.contract import StageResult
from clustering_pipeline.storage import layout


@stage_asset(LOCAL_FEATURES, group="features", kinds=["opencv"])
def local_features(clean_images: pd.DataFrame, settings: LocalFeatureSettings, run: AssetRun) -> StageResult:
    """The product box, keypoints, descriptors and colour of every kept crop."""
    from clustering_pipeline.stages.features import extract_local_features

    return extract_local_features(clean_images, settings, run.stage)


@stage_asset(EMBEDDINGS, group="features", kinds=["numpy"], pool=GPU)
def embeddings(
    clean_images: pd.DataFrame, local_features: pd.DataFrame, settings: EmbeddingSettings, run: AssetRun
) -> StageResult:
    """The unit-length vector that the chosen encoder gives to each kept crop."""
    from clustering_pipeline.stages.embedding import embed_crops

    return embed_crops(clean_images, local_features, settings, run.stage)


@stage_asset(SEMANTIC_DUPLICATES, group="features", kinds=["faiss"])
def semantic_duplicates(
    embeddings: pd.DataFrame,
    clean_images: pd.DataFrame,
    overruled_pictures: pd.DataFrame,
    encoder: EmbeddingSettings,
    settings: SemanticDuplicateSettings,
    filter_settings: CleanImageSettings,
    run: AssetRun,
) -> AssetResult:
    """Near-identical pictures by embedding, each checked against the keeper that stands for it.

    Beside the manifest goes a page that shows every crop that was left out next to its keeper, with the reason.
    """
    from clustering_pipeline.stages.deduplication import find_semantic_duplicates, write_pairs_page

    keep = overruled_pictures["image_sha256"].tolist()
    result = find_semantic_duplicates(embeddings, clean_images, encoder.encoder, settings, filter_settings, run.stage, keep)
    filtered = run.project.manifests.read_facts("clean_images", run.category)
    page = write_pairs_page(clean_images, result.manifest, filtered, filter_settings, run.stage.blobs)
    run.project.outputs.write(layout.output(run.category, layout.LEFT_OUT), page)
    return AssetResult(result, metadata={"left_out": page_link(run, "pages/left-out")})
