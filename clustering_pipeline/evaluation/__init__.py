"""How good a grouping is, measured against gold labels."""

from clustering_pipeline.evaluation.sampling import (
    SHIFT,
    WRONG,
    Answered,
    Estimate,
    Pairs,
    Quality,
    cohens_kappa,
    drawing_order,
    estimate_quality,
    strata,
)
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
    "SHIFT",
    "WRONG",
    "Answered",
    "Estimate",
    "LabelledRows",
    "Pairs",
    "Quality",
    "Reliability",
    "Truth",
    "brier_score",
    "cohens_kappa",
    "draw_confusion",
    "drawing_order",
    "estimate_quality",
    "evaluate_workbook",
    "labelled_rows",
    "parse_truth",
    "read_truth",
    "reliability",
    "score_clusters",
    "strata",
]
