"""Knobs of near-identical pictures by embedding."""

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings


class SemanticDuplicateSettings(StageSettings):
    """When two embeddings show the same picture."""

    threshold: float | None = Field(
        None, ge=-1, le=1, description="Cosine of one and the same picture; the encoder's own when unset."
    )
