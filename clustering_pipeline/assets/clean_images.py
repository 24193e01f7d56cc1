"""Which crops are worth comparing."""

import pandas as pd

from clustering_pipeline.assets.building import AssetRun, stage_asset
from clustering_pipeline.checks import REJECTED_SHARE
from clustering_pipeline.manifests import CLEAN_IMAGES
from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.stage import StageResult


@stage_asset(CLEAN_IMAGES, group="pictures", kinds=["opencv"], checks=[REJECTED_SHARE])
def clean_images(
    crops: pd.DataFrame,
    raw_images: pd.DataFrame,
    overruled_pictures: pd.DataFrame,
    settings: CleanImageSettings,
    run: AssetRun,
) -> StageResult:
    """Every crop: kept, or too bad to compare, or a duplicate of the keeper that stands for it."""
    from clustering_pipeline.deduplication import clean_images as filter_crops

    return filter_crops(crops, raw_images, settings, run.stage, overruled_pictures["image_sha256"].tolist())
