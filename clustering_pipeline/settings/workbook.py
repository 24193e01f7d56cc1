"""Knobs of the labelled workbook."""

from clustering_pipeline.settings.base import StageSettings


class WorkbookSettings(StageSettings):
    """How the labelled workbook is written."""
