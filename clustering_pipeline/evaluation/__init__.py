"""How good a grouping is, measured against gold labels."""

from clustering_pipeline.evaluation.scores import (
    Reliability,
    brier_score,
    draw_confusion,
    reliability,
    score_clusters,
)
from clustering_pipeline.evaluation.workbook import (
    LabelledRows,
    Truth,
    evaluate_workbook,
    labelled_rows,
    parse_truth,
    read_truth,
)

__all__ = [
    "LabelledRows",
    "Reliability",
    "Truth",
    "brier_score",
    "draw_confusion",
    "evaluate_workbook",
    "labelled_rows",
    "parse_truth",
    "read_truth",
    "reliability",
    "score_clusters",
]
