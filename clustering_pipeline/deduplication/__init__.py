"""The funnel: quality, exact, perceptual and semantic duplicates, and the keeper that stands for its duplicates."""

from clustering_pipeline.deduplication.clean import clean_images
from clustering_pipeline.deduplication.semantic import find_semantic_duplicates

__all__ = ["clean_images", "find_semantic_duplicates"]
