"""How good a grouping is, measured against gold labels."""

from clustering_pipeline.evaluation.reliability import Reliability, brier_score, reliability
from clustering_pipeline.evaluation.scores import draw_confusion, score_clusters
from clustering_pipeline.evaluation.truth import Truth, parse_truth, read_truth
from clustering_pipeline.evaluation.workbook import LabelledRows, evaluate_workbook, labelled_rows

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
