"""Pictures that are the same to the encoder."""

import pandas as pd

from clustering_pipeline.assets.building import AssetRun, Sourced, page_link, stage_asset
from clustering_pipeline.manifests import SEMANTIC_DUPLICATES
from clustering_pipeline.settings import CleanImageSettings, EmbeddingSettings, SemanticDuplicateSettings


@stage_asset(SEMANTIC_DUPLICATES, group="features", kinds=["faiss"])
def semantic_duplicates(
    embeddings: pd.DataFrame,
    clean_images: pd.DataFrame,
    overruled_pictures: pd.DataFrame,
    encoder: EmbeddingSettings,
    settings: SemanticDuplicateSettings,
    filter_settings: CleanImageSettings,
    run: AssetRun,
) -> Sourced:
    """Near-identical pictures by embedding, each checked against the keeper that stands for it.

    Beside the manifest goes a page that shows every crop that was left out next to its keeper, with the reason.
    """
    from clustering_pipeline.deduplication import find_semantic_duplicates, write_pairs_page

    keep = overruled_pictures["image_sha256"].tolist()
    result = find_semantic_duplicates(embeddings, clean_images, encoder.encoder, settings, filter_settings, run.stage, keep)
    filtered = run.workplace.manifests.read_facts("clean_images", run.category)
    page = write_pairs_page(clean_images, result.manifest, filtered, filter_settings, run.stage.blobs)
    run.workplace.files("outputs").write(f"{run.category}/left-out.html", page)
    return Sourced(result, metadata={"left_out": page_link(run, "pages/left-out")})
