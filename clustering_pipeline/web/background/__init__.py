"""Runs of a category in a process of their own: started by a page, followed by their progress,
ended by whoever has seen enough.
"""

from clustering_pipeline.web.background.changes import CategoryState, ClusterChange, Outcome
from clustering_pipeline.web.background.progress import BarProgress, StageProgress
from clustering_pipeline.web.background.runs import (
    BackgroundRun,
    BackgroundRuns,
    RunningAlreadyError,
)

__all__ = [
    "BackgroundRun",
    "BackgroundRuns",
    "BarProgress",
    "CategoryState",
    "ClusterChange",
    "Outcome",
    "RunningAlreadyError",
    "StageProgress",
]
