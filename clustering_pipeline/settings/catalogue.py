"""Knobs of reading the workbook."""

from typing import Literal

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings


class CatalogueSettings(StageSettings):
    """Which sheets and columns of the workbook are read, and how much of a hostile one."""

    sheets: tuple[str, ...] = Field((), description="Sheets to read; all that have the two columns when empty.")
    header_row: int | None = Field(
        None,
        ge=0,
        description="Row of the headers, from 1; 0 when there is none and columns are named by letter; found when unset.",
    )
    id_column: str | None = Field(
        None, description="Header (or letter) of the listing ids; recognised by its usual names when unset."
    )
    url_column: str | None = Field(
        None, description="Header (or letter) of the picture URLs; recognised by its usual names when unset."
    )
    title_column: str | None = Field(
        None, description="Header (or letter) of the listing titles; recognised when unset, optional."
    )
    images_per_listing: Literal["first", "all"] = Field(
        "first", description="Whether the first URL of a cell with several is used, or all of them."
    )
    max_rows: int = Field(1_000_000, ge=1, description="Rows of all sheets together above which a workbook is refused.")
    max_sheets: int = Field(200, ge=1, description="Sheets above which a workbook is refused.")
    max_cells: int = Field(
        60_000_000, ge=1, description="Cells of a sheet's used rectangle, blank ones included, above which it is refused."
    )
    max_uncompressed_megabytes: int = Field(
        1024, ge=1, description="Megabytes that a zipped workbook may unpack to; more is taken for a zip bomb and refused."
    )
