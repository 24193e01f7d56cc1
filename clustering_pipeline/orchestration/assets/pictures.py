"""From the workbook to pictures worth comparing: catalogue, downloads, prompts, crops, overrides and the quality filter."""

import pandas as pd

from clustering_pipeline.core.manifests import CATALOGUE, CLEAN_IMAGES, CROPS, ENGLISH_PROMPTS, OVERRULED_PICTURES, RAW_IMAGES
from clustering_pipeline.orchestration.assets.factory import AssetResult, AssetRun, page_link, stage_asset
from clustering_pipeline.orchestration.checks import DETECTION_RATE, DOWNLOAD_SUCCESS, REJECTED_SHARE, USABLE_LISTINGS
from clustering_pipeline.orchestration.runtime.pools import GEMINI, GPU, NETWORK
from clustering_pipeline.orchestration.sync.sources import catalogue_version, overrides_version
from clustering_pipeline.settings import CatalogueSettings, CleanImageSettings, CropSettings, DownloadSettings, PromptSettings
from clustering_pipeline.stages.contract import StageResult
from clustering_pipeline.storage import layout


@stage_asset(CATALOGUE, group="listings", kinds=["excel", "pandas"])
def catalogue(settings: CatalogueSettings, run: AssetRun) -> AssetResult:
    """Every row of the workbook: which can be used, and why not the others.

    Read from the copy that was kept when the catalogue was recorded, by `clustering-pipeline run` or by the sensor on the
    catalogue folder.
    """
    from clustering_pipeline.stages.catalogue import read_catalogue

    source = run.project.sources.load(run.category)
    metadata = {"workbook": source.path, "display_name": source.display_name, "workbook_sha256": source.sha256}
    return AssetResult(read_catalogue(source, settings, run.stage), catalogue_version(source), metadata=metadata)


@stage_asset(RAW_IMAGES, group="pictures", kinds=["python"], pool=NETWORK, checks=[USABLE_LISTINGS, DOWNLOAD_SUCCESS])
def raw_images(catalogue: pd.DataFrame, settings: DownloadSettings, run: AssetRun) -> StageResult:
    """One row per picture of a listing: its bytes' sha256, or why it could not be had.

    Each distinct URL is fetched once; a run that was stopped goes on where it was.
    """
    from clustering_pipeline.stages.download import fetch_images

    return fetch_images(catalogue, settings, run.stage)


@stage_asset(ENGLISH_PROMPTS, group="pictures", kinds=["python"], pool=GEMINI)
def english_prompts(settings: PromptSettings, run: AssetRun) -> StageResult:
    """The category's Vietnamese class words with their English prompts, and who translated each."""
    from clustering_pipeline.stages.prompts import translate_words

    return translate_words(run.project.sources.load(run.category).display_name, settings, run.stage)


@stage_asset(CROPS, group="pictures", kinds=["opencv"], pool=GPU, checks=[DETECTION_RATE])
def crops(
    raw_images: pd.DataFrame, english_prompts: pd.DataFrame, catalogue: pd.DataFrame, settings: CropSettings, run: AssetRun
) -> AssetResult:
    """The regions of each distinct picture that show the product; the whole picture when nothing was detected.

    Beside the manifest goes a contact sheet: pictures with their boxes drawn.
    """
    from clustering_pipeline.stages.detection import detect_crops, write_contact_sheet

    result = detect_crops(raw_images, english_prompts, settings, run.stage, catalogue)
    page = write_contact_sheet(result.manifest, run.stage.blobs)
    run.project.outputs.write(layout.output(run.category, layout.CONTACT_SHEET), page)
    return AssetResult(result, metadata={"contact_sheet": page_link(run, "pages/crops")})


@stage_asset(OVERRULED_PICTURES, group="pictures", kinds=["sqlite"])
def overruled_pictures(catalogue: pd.DataFrame, raw_images: pd.DataFrame, run: AssetRun) -> AssetResult:
    """The pictures that people want kept whatever their quality.

    Apart from the other corrections, so that saying which listings are one product touches nothing before the clusters.
    """
    from clustering_pipeline.stages.deduplication import resolve_overrides

    statements = run.project.corrections.read(run.category)
    return AssetResult(resolve_overrides(statements, catalogue, raw_images), overrides_version(statements))


@stage_asset(CLEAN_IMAGES, group="pictures", kinds=["opencv"], checks=[REJECTED_SHARE])
def clean_images(
    crops: pd.DataFrame,
    raw_images: pd.DataFrame,
    overruled_pictures: pd.DataFrame,
    settings: CleanImageSettings,
    run: AssetRun,
) -> StageResult:
    """Every crop: kept, or too bad to compare, or a duplicate of the keeper that stands for it."""
    from clustering_pipeline.stages.deduplication import clean_images as filter_crops

    return filter_crops(crops, raw_images, settings, run.stage, overruled_pictures["image_sha256"].tolist())
