"""Knobs of detection and cropping."""

from typing import Literal

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings, performance_field


class CropSettings(StageSettings):
    """Which detector finds the product and which boxes count."""

    crop: Literal["on", "off"] = Field("on", description="off: the whole picture is the crop.")
    detector: str = Field("contour", description="Name of the detector in the registry.")
    model: str | None = Field(
        None,
        description="Neural detectors: folder, file, card name or hub repository of the weights; the detector's own when unset.",
    )
    text_model: str = Field("clip-vit-b-32", description="yolo-world: the CLIP model whose text tower reads the prompts.")
    mask: Literal["off", "sam"] = Field(
        "off", description="sam: Segment Anything tells the product in each box from its background, which becomes white."
    )
    mask_model: str = Field("sam", description="mask: folder, card name or hub repository of SAM's or SAM 2's weights.")
    image_size: int | None = Field(
        None,
        ge=32,
        le=4096,
        description="yolo-world: side of its square input, faster-rcnn: shorter side of its input, in pixels.",
    )
    given_columns: tuple[str, str, str, str] = Field(
        ("x0", "y0", "x1", "y1"),
        description="given: the catalogue's columns with the left, top, right and bottom of the box, in pixels.",
    )
    given_class_column: str | None = Field(None, description="given: the catalogue's column with the class of the box.")
    minimum_score: float | None = Field(
        None, ge=0, le=1, description="Score below which a box does not count; the detector's own limit when unset."
    )
    minimum_area: float = Field(0.01, ge=0, lt=1, description="Smallest box, as a share of the picture's area.")
    maximum_aspect: float = Field(12.0, ge=1, description="Longest box, as its longer side over its shorter one.")
    overlap: float = Field(
        0.7, gt=0, le=1, description="Intersection over union above which the lower of two boxes is the same product."
    )
    padding: float = Field(0.02, ge=0, le=1, description="Room added around a box, as a share of its longer side.")
    maximum_crops: int = Field(4, ge=1, le=64, description="Most crops of one picture.")
    batch_size: int = performance_field(32, "Pictures per batch.", ge=1)
