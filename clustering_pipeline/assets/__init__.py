"""The assets of a category: a module each, which reads manifests, calls a stage and returns a manifest.

A stage is imported by the run that needs it, so that the definitions load fast.
"""

from clustering_pipeline.assets.catalogue import catalogue
from clustering_pipeline.assets.category_report import category_report
from clustering_pipeline.assets.clean_images import clean_images
from clustering_pipeline.assets.clusters import clusters
from clustering_pipeline.assets.corrections import corrections
from clustering_pipeline.assets.crops import crops
from clustering_pipeline.assets.embeddings import embeddings
from clustering_pipeline.assets.english_prompts import english_prompts
from clustering_pipeline.assets.labeled_excel import labeled_excel
from clustering_pipeline.assets.local_features import local_features
from clustering_pipeline.assets.matches import matches
from clustering_pipeline.assets.overruled_pictures import overruled_pictures
from clustering_pipeline.assets.raw_images import raw_images
from clustering_pipeline.assets.search_index import search_index
from clustering_pipeline.assets.semantic_duplicates import semantic_duplicates
from clustering_pipeline.assets.settings import settings_assets
from clustering_pipeline.assets.sync_report import sync_report

ASSETS = [
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
    sync_report,
]

__all__ = ["ASSETS"]
