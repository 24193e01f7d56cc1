"""Reading a shop's table: any format, every row a listing with its pictures' addresses or the
reason why it has none.
"""

from clustering_pipeline.stages.catalogue.addresses import MAX_CELL_CHARACTERS
from clustering_pipeline.stages.catalogue.columns import column_letters, own_columns
from clustering_pipeline.stages.catalogue.embedded_images import DIGEST_MARK, stored_picture
from clustering_pipeline.stages.catalogue.formats.sheets import (
    Relationship,
    SheetPart,
    WorkbookPackage,
    local_name,
    range_corners,
    reference_column,
    relationships,
    relationships_part,
    workbook_part,
    worksheets,
)
from clustering_pipeline.stages.catalogue.formats.tables import (
    EXACT_DIGITS,
    SheetTable,
    Table,
    cell_text,
    read_table,
)
from clustering_pipeline.stages.catalogue.listings import SelectedSheet, head_rows, select_sheets
from clustering_pipeline.stages.catalogue.sources import CatalogueSource, SourceRecords, read_source
from clustering_pipeline.stages.catalogue.stage import (
    ColumnChoice,
    ReadWorkbook,
    SheetPreview,
    category_values,
    check_file,
    check_workbook,
    preview_file,
    read_workbook,
    run,
)

__all__ = [
    "DIGEST_MARK",
    "EXACT_DIGITS",
    "MAX_CELL_CHARACTERS",
    "CatalogueSource",
    "ColumnChoice",
    "ReadWorkbook",
    "Relationship",
    "SelectedSheet",
    "SheetPart",
    "SheetPreview",
    "SheetTable",
    "SourceRecords",
    "Table",
    "WorkbookPackage",
    "category_values",
    "cell_text",
    "check_file",
    "check_workbook",
    "column_letters",
    "head_rows",
    "local_name",
    "own_columns",
    "preview_file",
    "range_corners",
    "read_source",
    "read_table",
    "read_workbook",
    "reference_column",
    "relationships",
    "relationships_part",
    "run",
    "select_sheets",
    "stored_picture",
    "workbook_part",
    "worksheets",
]
