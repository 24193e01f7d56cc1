"""What is computed of each kept crop: local features, embedding, and duplicates by embedding."""

import pandas as pd

from clustering_pipeline.core.manifests import SEMANTIC_DUPLICATES
from clustering_pipeline.orchestration.assets.factory import (
    AssetResult,
    AssetRun,
    page_link,
    project_asset,
    stage_asset,
)
from clustering_pipeline.orchestration.runtime.instance import GPU
from clustering_pipeline.settings import (
    CleanImageSettings,
    EmbeddingSettings,
    SemanticDuplicateSettings,
)
from clustering_pipeline.storage import layout

local_features = stage_asset(
    "local_features",
    description="The product box, keypoints, descriptors and colour of every kept crop.",
    group="features",
    kinds=["opencv"],
)

embeddings = stage_asset(
    "embeddings",
    description="The unit-length vector that the chosen encoder gives to each kept crop.",
    group="features",
    kinds=["numpy"],
    pool=GPU,
)


@project_asset(SEMANTIC_DUPLICATES, group="features", kinds=["faiss"])
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

    Beside the manifest goes a page that shows every crop that was left out next to its keeper, with
    the reason.
    """
    from clustering_pipeline.stages.deduplication import semantic_stage, write_pairs_page

    result = semantic_stage.run(
        embeddings=embeddings,
        clean_images=clean_images,
        overruled_pictures=overruled_pictures,
        embedding_settings=encoder,
        settings=settings,
        filter_settings=filter_settings,
        context=run.stage,
    )
    page = write_pairs_page(
        clean_images, result.manifest, run.facts["clean_images"], filter_settings, run.stage.blobs
    )
    run.project.outputs.write(layout.output(run.category, layout.LEFT_OUT), page)
    return AssetResult(result, metadata={"left_out": page_link(run, "pages/left-out")})
