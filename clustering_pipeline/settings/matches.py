"""Knobs of candidate pairs and their verification."""

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings


class MatchSettings(StageSettings):
    """Which pairs are looked at and what makes a match."""

    enabled: bool = Field(True, description="false: clusters come from embeddings alone.")
    neighbours: int = Field(30, ge=1, description="Candidates per crop, in both directions.")
    text: bool = Field(True, description="Read the text on the pack where it can change something.")
