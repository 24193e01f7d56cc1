"""Knobs of keypoints, descriptors and colour."""

from typing import ClassVar

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings, performance_field


class LocalFeatureSettings(StageSettings):
    """How local features are taken from a crop."""

    logic_version: ClassVar[str] = "4"

    longest_side: int = Field(
        360,
        ge=64,
        le=2048,
        description="The product is scaled until its longer side has so many pixels before it is described.",
    )
    keypoints: int = Field(500, ge=16, le=4000, description="Most keypoints kept per crop, strongest first.")
    contrast_threshold: float = Field(
        0.02, gt=0, le=0.2, description="SIFT's contrast threshold (share of the grey range): lower finds fainter print."
    )
    batch_size: int = performance_field(16, "Crops per batch.", ge=1)
