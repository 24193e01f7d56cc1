"""Knobs of the quality, exact and perceptual filters."""

from clustering_pipeline.settings.base import StageSettings, performance_field


class CleanImageSettings(StageSettings):
    """What is too bad to compare, and what is the same picture."""

    batch_size: int = performance_field(32, "Crops per batch.", ge=1)
