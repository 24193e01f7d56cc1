"""The assets of a category: a module each group, which reads manifests, calls a stage and returns a
manifest.

A stage is imported by the run that needs it, so that the definitions load fast. Every asset that a
module of a group holds is one of the category's.
"""

import dagster as dg

from clustering_pipeline.orchestration.assets import clusters, features, pictures, results
from clustering_pipeline.orchestration.assets.settings import settings_assets
from clustering_pipeline.orchestration.assets.status import make_sync_report

CATEGORY_ASSETS = [
    *settings_assets,
    *(
        asset
        for group in (pictures, features, clusters, results)
        for asset in vars(group).values()
        if isinstance(asset, dg.AssetsDefinition)
    ),
]
sync_report = make_sync_report(CATEGORY_ASSETS)
ASSETS = [*CATEGORY_ASSETS, sync_report]

__all__ = ["ASSETS", "CATEGORY_ASSETS", "sync_report"]
