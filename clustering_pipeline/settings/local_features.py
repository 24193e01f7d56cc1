"""Knobs of keypoints, descriptors and colour."""

from clustering_pipeline.settings.base import StageSettings, performance_field


class LocalFeatureSettings(StageSettings):
    """How local features are taken from a crop."""

    batch_size: int = performance_field(16, "Crops per batch.", ge=1)
