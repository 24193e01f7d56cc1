"""Knobs of the category report."""

from typing import Literal

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings


class ReportSettings(StageSettings):
    """How the report page is written."""

    language: Literal["en", "vi"] = Field("en", description="Language of the report page.")
