"""The funnel: quality, exact, perceptual and semantic duplicates, and the keeper that stands for
its duplicates.
"""

from clustering_pipeline.stages.deduplication import clean_stage, overrides_stage, semantic_stage
from clustering_pipeline.stages.deduplication.hashing import (
    Pairs,
    hash_bits,
    pairs_within,
    to_hexadecimal,
)
from clustering_pipeline.stages.deduplication.left_out import (
    FUNNEL_STEPS,
    LeftOut,
    draw_funnel,
    left_out,
    write_pairs_page,
)

__all__ = [
    "FUNNEL_STEPS",
    "LeftOut",
    "Pairs",
    "clean_stage",
    "draw_funnel",
    "hash_bits",
    "left_out",
    "overrides_stage",
    "pairs_within",
    "semantic_stage",
    "to_hexadecimal",
    "write_pairs_page",
]
