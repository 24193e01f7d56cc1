"""Runs of a category in a process of their own: started by a page, followed by their progress,
ended by whoever has seen enough.
"""

from clustering_pipeline.web.background.reports import (
    BarProgress,
    CategoryState,
    ClusterChange,
    Outcome,
    StageProgress,
    read_file,
    replace_file,
)
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
    "read_file",
    "replace_file",
]
