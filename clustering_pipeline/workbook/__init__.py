"""The labelled workbook: the analyst's own file with a cluster or a reason beside every listing."""

from clustering_pipeline.workbook.delivery import DeliveredFile, check_output, default_output, deliver_workbook
from clustering_pipeline.workbook.edits import LabelEdits, read_label_edits
from clustering_pipeline.workbook.export import ExportedPictures, export_pictures
from clustering_pipeline.workbook.labelling import LabelledWorkbook, label_workbook
from clustering_pipeline.workbook.names import suggest_names
from clustering_pipeline.workbook.notes import WorkbookNotes, cluster_dates, summary_sections
from clustering_pipeline.workbook.pack_texts import pack_texts

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
