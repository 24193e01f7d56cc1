"""Which rejects people overruled."""

import pandas as pd

from clustering_pipeline.assets.building import AssetRun, Sourced, stage_asset
from clustering_pipeline.assets.sources import overrules_version
from clustering_pipeline.manifests import OVERRULED_PICTURES


@stage_asset(OVERRULED_PICTURES, group="pictures", kinds=["sqlite"])
def overruled_pictures(catalogue: pd.DataFrame, raw_images: pd.DataFrame, run: AssetRun) -> Sourced:
    """The pictures that people want kept whatever their quality.

    Apart from the other corrections, so that saying which listings are one product touches nothing before the clusters.
    """
    from clustering_pipeline.deduplication import resolve_overrules

    statements = run.workplace.corrections.read(run.category)
    return Sourced(resolve_overrules(statements, catalogue, raw_images), overrules_version(statements))
