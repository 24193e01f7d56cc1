"""Where the product is in each picture."""

import pandas as pd

from clustering_pipeline.assets.building import AssetRun, stage_asset
from clustering_pipeline.automation.pools import GPU
from clustering_pipeline.checks import DETECTION_RATE
from clustering_pipeline.manifests import CROPS
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stage import StageResult


@stage_asset(CROPS, group="pictures", kinds=["opencv"], pool=GPU, checks=[DETECTION_RATE])
def crops(
    raw_images: pd.DataFrame, english_prompts: pd.DataFrame, catalogue: pd.DataFrame, settings: CropSettings, run: AssetRun
) -> StageResult:
    """The regions of each distinct picture that show the product; the whole picture when nothing was detected."""
    from clustering_pipeline.detection import detect_crops

    return detect_crops(raw_images, english_prompts, settings, run.stage, catalogue)
