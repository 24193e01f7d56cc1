"""Knobs of the labelled workbook."""

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings


class WorkbookSettings(StageSettings):
    """How the labelled workbook is written."""

    sheets: bool = Field(True, description="Whether the sheets Clusters, Problems and Summary are added after the user's own.")
    pictures: int = Field(
        2000, ge=0, description="Clusters that get a picture on the sheet Clusters, the largest first; 0 for none."
    )
    picture_pixels: int = Field(96, ge=32, le=400, description="Longest side of a picture on the sheet Clusters, in pixels.")
    links: bool = Field(
        True, description="Whether cells link from listing to cluster and back, up to Excel's 65,530 links a sheet."
    )
