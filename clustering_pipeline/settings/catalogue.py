"""Knobs of reading the workbook."""

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings


class CatalogueSettings(StageSettings):
    """Which sheets and columns of the workbook are read."""

    sheets: tuple[str, ...] = Field((), description="Sheets to read; all that have the two columns when empty.")
    id_column: str | None = Field(None, description="Header of the listing ids; recognised by its usual names when unset.")
    url_column: str | None = Field(None, description="Header of the picture URLs; recognised by its usual names when unset.")
    title_column: str | None = Field(None, description="Header of the listing titles; recognised when unset, optional.")
