"""Where the product is in each picture."""

import pandas as pd

from clustering_pipeline.assets.building import AssetRun, Sourced, page_link, stage_asset
from clustering_pipeline.automation.pools import GPU
from clustering_pipeline.checks import DETECTION_RATE
from clustering_pipeline.manifests import CROPS
from clustering_pipeline.settings import CropSettings


@stage_asset(CROPS, group="pictures", kinds=["opencv"], pool=GPU, checks=[DETECTION_RATE])
def crops(
    raw_images: pd.DataFrame, english_prompts: pd.DataFrame, catalogue: pd.DataFrame, settings: CropSettings, run: AssetRun
) -> Sourced:
    """The regions of each distinct picture that show the product; the whole picture when nothing was detected.

    Beside the manifest goes a contact sheet: pictures with their boxes drawn.
    """
    from clustering_pipeline.detection import detect_crops, write_contact_sheet

    result = detect_crops(raw_images, english_prompts, settings, run.stage, catalogue)
    page = write_contact_sheet(result.manifest, run.stage.blobs)
    run.workplace.files("outputs").write(f"{run.category}/crops.html", page)
    return Sourced(result, metadata={"contact_sheet": page_link(run, "pages/crops")})
