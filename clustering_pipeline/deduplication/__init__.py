"""The funnel: quality, exact, perceptual and semantic duplicates, and the keeper that stands for its duplicates."""

from clustering_pipeline.deduplication.clean import clean_images
from clustering_pipeline.deduplication.drawing import draw_funnel
from clustering_pipeline.deduplication.hamming import Pairs, pairs_within
from clustering_pipeline.deduplication.pairs import LeftOut, left_out, write_pairs_page
from clustering_pipeline.deduplication.semantic import find_semantic_duplicates
from clustering_pipeline.deduplication.verdicts import resolve_overrules

__all__ = [
    "LeftOut",
    "Pairs",
    "clean_images",
    "draw_funnel",
    "find_semantic_duplicates",
    "left_out",
    "pairs_within",
    "resolve_overrules",
    "write_pairs_page",
]
