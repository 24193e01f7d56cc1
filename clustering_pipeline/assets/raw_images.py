"""The pictures behind the URLs."""

import pandas as pd

from clustering_pipeline.assets.building import AssetRun, stage_asset
from clustering_pipeline.automation.pools import NETWORK
from clustering_pipeline.checks import DOWNLOAD_SUCCESS, USABLE_LISTINGS
from clustering_pipeline.manifests import RAW_IMAGES
from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stage import StageResult


@stage_asset(RAW_IMAGES, group="pictures", kinds=["python"], pool=NETWORK, checks=[USABLE_LISTINGS, DOWNLOAD_SUCCESS])
def raw_images(catalogue: pd.DataFrame, settings: DownloadSettings, run: AssetRun) -> StageResult:
    """One row per picture of a listing: its bytes' sha256, or why it could not be had.

    Each distinct URL is fetched once; a run that was stopped goes on where it was.
    """
    from clustering_pipeline.download import fetch_images

    return fetch_images(catalogue, settings, run.stage)
