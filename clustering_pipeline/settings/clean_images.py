"""Knobs of the quality, exact and perceptual filters."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from clustering_pipeline.settings.base import StageSettings, performance_field


@dataclass(frozen=True)
class QualityLimits:
    """What a picture must have; brightness and contrast in grey levels 0 to 255, sides in pixels."""

    sharpness: float
    darkest: float
    brightest: float
    contrast: float
    spread: float
    side: int
    aspect: float


class CleanImageSettings(StageSettings):
    """What is too bad to compare, and what is the same picture."""

    logic_version: ClassVar[str] = "4"

    preset: Literal["catalogue", "street"] = Field(
        "catalogue",
        description="catalogue: judged on the product, safe for studio pictures on white. street: judged on the whole picture "
        "by the limits of the published funnel (sharpness 50, mean brightness 10 to 220).",
    )
    minimum_sharpness: float | None = Field(
        None, ge=0, description="Variance of the Laplacian, the longer side at most 256 pixels; the preset's when unset."
    )
    minimum_brightness: float | None = Field(
        None, ge=0, le=255, description="Mean grey level under which a picture is dark; the preset's when unset."
    )
    maximum_brightness: float | None = Field(
        None, ge=0, le=255, description="Mean grey level above which a picture is bright; the preset's when unset."
    )
    minimum_contrast: float | None = Field(
        None, ge=0, le=255, description="Grey levels between the 1st and the 99th percentile; the preset's when unset."
    )
    minimum_spread: float | None = Field(
        None, ge=0, le=255, description="Grey levels that nearly all of the whole picture spans; the preset's when unset."
    )
    minimum_side: int | None = Field(None, ge=1, description="Shorter side of a crop in pixels; the preset's when unset.")
    maximum_aspect: float | None = Field(None, ge=1, description="Longer over shorter side of a crop; the preset's when unset.")
    keep: tuple[str, ...] = Field(
        (), description="sha256 of pictures or crops, or their first 8 or more digits, that are kept whatever their quality."
    )
    duplicates: bool = Field(True, description="false: no picture is taken for another's duplicate.")
    phash_radius: int = Field(
        10, ge=0, le=16, description="Bits of 64 in which the pHash of a duplicate, or of its centre, may differ."
    )
    dhash_radius: int = Field(4, ge=0, le=16, description="Bits of 64 in which the dHash of a duplicate may differ instead.")
    minimum_correlation: float = Field(
        0.85, ge=-1, le=1, description="Correlation of the lightness of two duplicates at 32 × 32 pixels, laid over each other."
    )
    maximum_light_difference: float = Field(
        10.0, ge=0, description="Largest difference of one of 64 regions in L* (0 to 100), brightness and contrast evened out."
    )
    maximum_colour_difference: float = Field(
        17.0,
        ge=0,
        description="Largest difference of one of 64 regions in the a*b* plane of CIE L*a*b*, saturation evened out.",
    )
    orientations: Literal["upright", "mirrored", "all"] = Field(
        "upright", description="Which duplicates count: as they are, also mirrored, or also turned by quarter turns."
    )
    batch_size: int = performance_field(256, "Crops per batch.", ge=1)

    @field_validator("keep")
    @classmethod
    def _name_digests(cls, digests: tuple[str, ...]) -> tuple[str, ...]:
        for digest in digests:
            if not re.fullmatch("[0-9a-fA-F]{8,64}", digest):
                raise ValueError(
                    f"{digest!r} is not the beginning of a sha256: 8 to 64 hexadecimal digits, as the report shows them"
                )
        return digests

    @property
    def region(self) -> Literal["product", "whole"]:
        """Where quality is measured."""
        return "whole" if self.preset == "street" else "product"

    def limits(self) -> QualityLimits:
        """Return the preset's limits with those that are set in their place."""
        preset = _PRESETS[self.preset]
        return QualityLimits(
            sharpness=_first(self.minimum_sharpness, preset.sharpness),
            darkest=_first(self.minimum_brightness, preset.darkest),
            brightest=_first(self.maximum_brightness, preset.brightest),
            contrast=_first(self.minimum_contrast, preset.contrast),
            spread=_first(self.minimum_spread, preset.spread),
            side=preset.side if self.minimum_side is None else self.minimum_side,
            aspect=_first(self.maximum_aspect, preset.aspect),
        )


_PRESETS = {
    "catalogue": QualityLimits(sharpness=20, darkest=8, brightest=250, contrast=10, spread=16, side=10, aspect=15),
    "street": QualityLimits(sharpness=50, darkest=10, brightest=220, contrast=0, spread=0, side=16, aspect=15),
}


def _first(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
