"""The funnel: quality, exact, perceptual and semantic duplicates, and the keeper that stands for its duplicates."""

from clustering_pipeline.stages.deduplication.funnel import draw_funnel
from clustering_pipeline.stages.deduplication.hamming import Pairs, pairs_within
from clustering_pipeline.stages.deduplication.left_out import LeftOut, left_out, write_pairs_page
from clustering_pipeline.stages.deduplication.overrides import resolve_overrides
from clustering_pipeline.stages.deduplication.semantic_stage import find_semantic_duplicates
from clustering_pipeline.stages.deduplication.stage import clean_images

__all__ = [
    "LeftOut",
    "Pairs",
    "clean_images",
    "draw_funnel",
    "find_semantic_duplicates",
    "left_out",
    "pairs_within",
    "resolve_overrides",
    "write_pairs_page",
]
