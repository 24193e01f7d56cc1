"""Knobs of detection and cropping."""

from typing import Literal

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings, performance_field


class CropSettings(StageSettings):
    """Which detector finds the product and which boxes count."""

    crop: Literal["on", "off"] = Field("on", description="off: the whole picture is the crop.")
    detector: str = Field("contour", description="Name of the detector in the registry.")
    batch_size: int = performance_field(16, "Pictures per batch.", ge=1)
