"""Finding the listings that show what a picture shows."""

from clustering_pipeline.search.files import current_version
from clustering_pipeline.search.lookup import MODES, Hit, Mode, SearchIndex, checked_mode
from clustering_pipeline.search.pictures import PictureSearch, QueryPicture, VerifiedHit
from clustering_pipeline.search.query import QuerySettings
from clustering_pipeline.search.stage import build_index
from clustering_pipeline.search.words import WordSearch, has_text_tower

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
]
