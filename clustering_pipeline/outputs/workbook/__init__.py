"""The labelled workbook: the analyst's own file with a cluster or a reason beside every listing."""

from clustering_pipeline.outputs.workbook.delivery import (
    DeliveredFile,
    check_output,
    default_output,
    deliver_workbook,
)
from clustering_pipeline.outputs.workbook.edits import LabelEdits, read_label_edits
from clustering_pipeline.outputs.workbook.export import ExportedPictures, export_pictures
from clustering_pipeline.outputs.workbook.labelling import (
    LabelledWorkbook,
    label_workbook,
    suggest_names,
)
from clustering_pipeline.outputs.workbook.notes import (
    WorkbookNotes,
    cluster_dates,
    pack_texts,
    summary_sections,
)

__all__ = [
    "DeliveredFile",
    "ExportedPictures",
    "LabelEdits",
    "LabelledWorkbook",
    "WorkbookNotes",
    "check_output",
    "cluster_dates",
    "default_output",
    "deliver_workbook",
    "export_pictures",
    "label_workbook",
    "pack_texts",
    "read_label_edits",
    "suggest_names",
    "summary_sections",
]
