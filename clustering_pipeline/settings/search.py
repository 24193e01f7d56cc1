"""Knobs of the search index."""

from clustering_pipeline.settings.base import StageSettings


class SearchSettings(StageSettings):
    """How the search index is built."""
