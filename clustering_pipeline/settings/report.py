"""Knobs of the category report."""

from typing import Literal

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings


class ReportSettings(StageSettings):
    """How the report page is written."""

    language: Literal["en", "vi"] = Field("en", description="Language of the report page: English or Vietnamese.")
    thumbnail_pixels: int = Field(132, ge=32, le=512, description="Longest side of a picture in the page, in pixels.")
    picture_megabytes: float = Field(
        12, ge=0, le=500, description="Megabytes of pictures in the page; the most doubtful clusters get theirs first."
    )
    pictures_per_cluster: int = Field(12, ge=2, le=200, description="Distinct pictures shown of one cluster.")
    pairs_drawn: int = Field(
        100, ge=0, le=5000, description="Clusters whose worst pair is drawn with its evidence, the most doubtful first."
    )
    clusters_shown: int = Field(2000, ge=1, description="Clusters shown, the most doubtful first.")
    rows_shown: int = Field(500, ge=1, description="Listings shown without a match, rejected, and failed, each.")
