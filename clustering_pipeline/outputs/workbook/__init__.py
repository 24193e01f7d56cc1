"""The labelled workbook: the analyst's own file with a cluster or a reason beside every listing."""

from typing import TYPE_CHECKING

from clustering_pipeline.core.faces import imported_when_used
from clustering_pipeline.outputs.workbook.delivery import (
    DeliveredFile,
    check_output,
    default_output,
    deliver_workbook,
)
from clustering_pipeline.outputs.workbook.edits import LabelEdits, read_label_edits

if TYPE_CHECKING:
    from clustering_pipeline.outputs.workbook.contents import (
        WorkbookNotes,
        cluster_dates,
        pack_texts,
        printed_lines,
        summary_sections,
    )
    from clustering_pipeline.outputs.workbook.export import (
        ExportedPictures,
        export_pictures,
        picture_table,
    )
    from clustering_pipeline.outputs.workbook.labelling import (
        LabelledWorkbook,
        OriginalWorkbook,
        ResultTables,
        label_workbook,
        suggest_names,
    )

__all__ = [
    "DeliveredFile",
    "ExportedPictures",
    "LabelEdits",
    "LabelledWorkbook",
    "OriginalWorkbook",
    "ResultTables",
    "WorkbookNotes",
    "check_output",
    "cluster_dates",
    "default_output",
    "deliver_workbook",
    "export_pictures",
    "label_workbook",
    "pack_texts",
    "picture_table",
    "printed_lines",
    "read_label_edits",
    "suggest_names",
    "summary_sections",
]

# What fills a workbook brings the report and SciPy, which a run of an unchanged one does without.
__getattr__ = imported_when_used(
    __name__,
    {
        "contents": [
            "WorkbookNotes",
            "cluster_dates",
            "pack_texts",
            "printed_lines",
            "summary_sections",
        ],
        "export": ["ExportedPictures", "export_pictures", "picture_table"],
        "labelling": [
            "LabelledWorkbook",
            "OriginalWorkbook",
            "ResultTables",
            "label_workbook",
            "suggest_names",
        ],
    },
)
