"""The labelled workbook: the analyst's own file with a cluster or a reason beside every listing."""

from clustering_pipeline.workbook.delivery import DeliveredFile, check_output, default_output, deliver_workbook
from clustering_pipeline.workbook.edits import LabelEdits, read_label_edits
from clustering_pipeline.workbook.labelling import LabelledWorkbook, WorkbookNotes, label_workbook

__all__ = [
    "DeliveredFile",
    "LabelEdits",
    "LabelledWorkbook",
    "WorkbookNotes",
    "check_output",
    "default_output",
    "deliver_workbook",
    "label_workbook",
    "read_label_edits",
]
