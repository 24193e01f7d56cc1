"""Finding the listings that show what a picture shows."""

from clustering_pipeline.outputs.search.image_search import (
    PictureSearch,
    QueryPicture,
    VerifiedHit,
    WordSearch,
    has_text_tower,
)
from clustering_pipeline.outputs.search.index import (
    MODES,
    Hit,
    Mode,
    QuerySettings,
    SearchIndex,
    checked_mode,
    current_version,
)
from clustering_pipeline.outputs.search.stage import build_index, index_category

__all__ = [
    "MODES",
    "Hit",
    "Mode",
    "PictureSearch",
    "QueryPicture",
    "QuerySettings",
    "SearchIndex",
    "VerifiedHit",
    "WordSearch",
    "build_index",
    "checked_mode",
    "current_version",
    "has_text_tower",
    "index_category",
]
