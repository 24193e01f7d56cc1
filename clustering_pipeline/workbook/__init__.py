"""The labelled workbook: the analyst's own file with a cluster or a reason beside every listing."""

from clustering_pipeline.workbook.delivery import DeliveredFile, check_output, default_output, deliver_workbook
from clustering_pipeline.workbook.labelling import LabelledWorkbook, label_workbook

__all__ = [
    "DeliveredFile",
    "LabelledWorkbook",
    "check_output",
    "default_output",
    "deliver_workbook",
    "label_workbook",
]
