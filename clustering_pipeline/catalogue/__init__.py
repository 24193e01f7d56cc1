"""Reading a shop's table: any format, every row a listing with its pictures' addresses or the reason why it has none."""

from clustering_pipeline.catalogue.own import OWN_COLUMNS, OWN_PREFIX, OWN_SHEETS, is_own_sheet, own_columns
from clustering_pipeline.catalogue.pictures import stored_picture
from clustering_pipeline.catalogue.slugs import category_slug
from clustering_pipeline.catalogue.sources import CatalogueSource, SourceRecords, read_source
from clustering_pipeline.catalogue.stage import ReadWorkbook, read_catalogue, read_workbook

__all__ = [
    "OWN_COLUMNS",
    "OWN_PREFIX",
    "OWN_SHEETS",
    "CatalogueSource",
    "ReadWorkbook",
    "SourceRecords",
    "category_slug",
    "is_own_sheet",
    "own_columns",
    "read_catalogue",
    "read_source",
    "read_workbook",
    "stored_picture",
]
