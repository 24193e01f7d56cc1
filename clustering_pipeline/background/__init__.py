"""Runs of a category in a process of their own: started by a page, followed by their progress,
ended by whoever has seen enough.
"""

from clustering_pipeline.background.changes import CategoryState, ClusterChange, Outcome
from clustering_pipeline.background.progress import BarProgress, StageProgress
from clustering_pipeline.background.removal import remove_category
from clustering_pipeline.background.runs import (
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
    "remove_category",
]
