"""Knobs of the encoder."""

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings, performance_field


class EmbeddingSettings(StageSettings):
    """Which encoder turns a crop into a vector."""

    encoder: str = Field("local", description="Name of the encoder in the registry.")
    batch_size: int = performance_field(32, "Crops per batch.", ge=1)
