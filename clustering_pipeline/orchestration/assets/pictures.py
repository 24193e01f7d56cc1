"""From the workbook to pictures worth comparing: catalogue, downloads, prompts, crops, overrides
and the quality filter.
"""

import pandas as pd

from clustering_pipeline.core.manifests import (
    CATALOGUE,
    CROPS,
    OVERRULED_PICTURES,
)
from clustering_pipeline.orchestration.assets.factory import (
    AssetResult,
    AssetRun,
    page_link,
    project_asset,
    stage_asset,
)
from clustering_pipeline.orchestration.checks import (
    DETECTION_RATE,
    DOWNLOAD_SUCCESS,
    ENOUGH_PICTURES,
    REJECTED_SHARE,
    USABLE_LISTINGS,
)
from clustering_pipeline.orchestration.runtime.instance import GEMINI, GPU, NETWORK
from clustering_pipeline.orchestration.sync.lineage import catalogue_version, overrides_version
from clustering_pipeline.settings import (
    CatalogueSettings,
    CropSettings,
)
from clustering_pipeline.storage import layout


@project_asset(CATALOGUE, group="listings", kinds=["excel", "pandas"])
def catalogue(settings: CatalogueSettings, run: AssetRun) -> AssetResult:
    """Every row of the workbook: which can be used, and why not the others.

    Read from the copy that was kept when the catalogue was recorded, by `clustering-pipeline run`
    or by the sensor on the catalogue folder.
    """
    from clustering_pipeline.stages import catalogue as stage

    source = run.project.sources.load(run.category)
    metadata = {
        "workbook": source.path,
        "display_name": source.display_name,
        "workbook_sha256": source.sha256,
    }
    result = stage.run(source=source, settings=settings, context=run.stage)
    return AssetResult(result, catalogue_version(source), metadata=metadata)


offers = stage_asset(
    "offers",
    description="""What each row says of the offer: price, seller, place, sold, rating, brand, link.

What could not be read for certain stays as text and is counted. The prices of every reading are
kept, so that the next can say what changed.""",
    group="listings",
    kinds=["pandas"],
)


raw_images = stage_asset(
    "raw_images",
    description="""One row per picture of a listing: its bytes' sha256, or why it
was not downloaded.

Each distinct URL is fetched once; a run that was stopped goes on where it was.""",
    group="pictures",
    kinds=["python"],
    pool=NETWORK,
    checks=[USABLE_LISTINGS, DOWNLOAD_SUCCESS, ENOUGH_PICTURES],
)

english_prompts = stage_asset(
    "english_prompts",
    description="The category's Vietnamese class words with their English prompts, and who "
    "translated each.",
    group="pictures",
    kinds=["python"],
    pool=GEMINI,
)


@project_asset(CROPS, group="pictures", kinds=["opencv"], pool=GPU, checks=[DETECTION_RATE])
def crops(
    raw_images: pd.DataFrame,
    english_prompts: pd.DataFrame,
    catalogue: pd.DataFrame,
    settings: CropSettings,
    run: AssetRun,
) -> AssetResult:
    """The regions of each distinct picture that show the product; the whole picture when nothing
    was detected.

    Beside the manifest goes a contact sheet: pictures with their boxes drawn.
    """
    from clustering_pipeline.stages import detection

    result = detection.run(
        raw_images=raw_images,
        english_prompts=english_prompts,
        catalogue=catalogue,
        settings=settings,
        context=run.stage,
    )
    page = detection.write_contact_sheet(result.manifest, run.stage.blobs)
    run.project.outputs.write(layout.output(run.category, layout.CONTACT_SHEET), page)
    return AssetResult(result, metadata={"contact_sheet": page_link(run, "pages/crops")})


@project_asset(OVERRULED_PICTURES, group="pictures", kinds=["sqlite"])
def overruled_pictures(
    catalogue: pd.DataFrame, raw_images: pd.DataFrame, run: AssetRun
) -> AssetResult:
    """The pictures that people want kept whatever their quality.

    Apart from the other corrections, so that saying which listings are one product touches nothing
    before the clusters.
    """
    from clustering_pipeline.stages.deduplication import overrides_stage

    statements = run.project.corrections.manifest(run.category)
    result = overrides_stage.run(corrections=statements, catalogue=catalogue, raw_images=raw_images)
    return AssetResult(result, overrides_version(statements))


clean_images = stage_asset(
    "clean_images",
    description="Every crop: kept, or too bad to compare, or a duplicate of the keeper that stands "
    "for it.",
    group="pictures",
    kinds=["opencv"],
    checks=[REJECTED_SHARE],
)
