"""How good a grouping is, measured against gold labels."""

from clustering_pipeline.evaluation.scores import score_clusters
from clustering_pipeline.evaluation.truth import Truth, parse_truth, read_truth
from clustering_pipeline.evaluation.workbook import evaluate_workbook

__all__ = ["Truth", "evaluate_workbook", "parse_truth", "read_truth", "score_clusters"]
