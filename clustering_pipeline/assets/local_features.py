"""What a crop can be verified by."""

import pandas as pd

from clustering_pipeline.assets.building import AssetRun, stage_asset
from clustering_pipeline.manifests import LOCAL_FEATURES
from clustering_pipeline.settings import LocalFeatureSettings
from clustering_pipeline.stage import StageResult


@stage_asset(LOCAL_FEATURES, group="features", kinds=["opencv"])
def local_features(clean_images: pd.DataFrame, settings: LocalFeatureSettings, run: AssetRun) -> StageResult:
    """The product box, keypoints, descriptors and colour of every kept crop."""
    from clustering_pipeline.features import extract_local_features

    return extract_local_features(clean_images, settings, run.stage)
