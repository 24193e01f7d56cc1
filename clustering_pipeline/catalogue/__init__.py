"""Reading a shop's table: any format, every row a listing with its pictures' addresses or the reason why it has none."""

from clustering_pipeline.catalogue.columns import column_letters
from clustering_pipeline.catalogue.own import OWN_COLUMNS, OWN_PREFIX, OWN_SHEETS, is_own_sheet, own_columns
from clustering_pipeline.catalogue.packages import WorkbookPackage
from clustering_pipeline.catalogue.pictures import DIGEST_MARK, stored_picture
from clustering_pipeline.catalogue.selection import SelectedSheet, head_rows, select_sheets
from clustering_pipeline.catalogue.sheets import (
    Relationship,
    SheetPart,
    local_name,
    range_corners,
    reference_column,
    relationships,
    relationships_part,
    workbook_part,
    worksheets,
)
from clustering_pipeline.catalogue.slugs import category_slug, without_accents
from clustering_pipeline.catalogue.sources import CatalogueSource, SourceRecords, read_source
from clustering_pipeline.catalogue.stage import ReadWorkbook, category_values, check_workbook, read_catalogue, read_workbook
from clustering_pipeline.catalogue.tables import SheetTable, Table, read_table
from clustering_pipeline.catalogue.values import EXACT_DIGITS, cell_text

__all__ = [
    "DIGEST_MARK",
    "EXACT_DIGITS",
    "OWN_COLUMNS",
    "OWN_PREFIX",
    "OWN_SHEETS",
    "CatalogueSource",
    "ReadWorkbook",
    "Relationship",
    "SelectedSheet",
    "SheetPart",
    "SheetTable",
    "SourceRecords",
    "Table",
    "WorkbookPackage",
    "category_slug",
    "category_values",
    "cell_text",
    "check_workbook",
    "column_letters",
    "head_rows",
    "is_own_sheet",
    "local_name",
    "own_columns",
    "range_corners",
    "read_catalogue",
    "read_source",
    "read_table",
    "read_workbook",
    "reference_column",
    "relationships",
    "relationships_part",
    "select_sheets",
    "stored_picture",
    "without_accents",
    "workbook_part",
    "worksheets",
]
