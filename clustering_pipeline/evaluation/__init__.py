"""How good a grouping is, measured against gold labels."""

from clustering_pipeline.evaluation.scores import draw_confusion, score_clusters
from clustering_pipeline.evaluation.truth import Truth, parse_truth, read_truth
from clustering_pipeline.evaluation.workbook import LabelledRows, evaluate_workbook, labelled_rows

__all__ = [
    "LabelledRows",
    "Truth",
    "draw_confusion",
    "evaluate_workbook",
    "labelled_rows",
    "parse_truth",
    "read_truth",
    "score_clusters",
]
