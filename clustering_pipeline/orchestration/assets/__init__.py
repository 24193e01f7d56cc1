"""The assets of a category: a module each, which reads manifests, calls a stage and returns a
manifest.

A stage is imported by the run that needs it, so that the definitions load fast.
"""

from clustering_pipeline.orchestration.assets.clusters import clusters, corrections, matches
from clustering_pipeline.orchestration.assets.features import (
    embeddings,
    local_features,
    semantic_duplicates,
)
from clustering_pipeline.orchestration.assets.pictures import (
    catalogue,
    clean_images,
    crops,
    english_prompts,
    overruled_pictures,
    raw_images,
)
from clustering_pipeline.orchestration.assets.results import (
    category_report,
    labeled_excel,
    search_index,
)
from clustering_pipeline.orchestration.assets.settings import settings_assets
from clustering_pipeline.orchestration.assets.status import make_sync_report

CATEGORY_ASSETS = [
    *settings_assets,
    catalogue,
    raw_images,
    english_prompts,
    crops,
    overruled_pictures,
    clean_images,
    local_features,
    embeddings,
    semantic_duplicates,
    matches,
    corrections,
    clusters,
    labeled_excel,
    category_report,
    search_index,
]
sync_report = make_sync_report(CATEGORY_ASSETS)
ASSETS = [*CATEGORY_ASSETS, sync_report]

__all__ = ["ASSETS", "CATEGORY_ASSETS", "sync_report"]
