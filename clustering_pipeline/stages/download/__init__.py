"""Fetching a catalogue's pictures: each distinct URL once, guarded, resumable, every failure with
its kind and a sentence.
"""

from clustering_pipeline.stages.download.answers import (
    FAILURE_KINDS,
    Failure,
    FailureKind,
    FetchError,
)
from clustering_pipeline.stages.download.fetcher import fetch_one
from clustering_pipeline.stages.download.stage import (
    FAILED,
    OK,
    main_cause,
    requests_due,
    run,
    worst_hosts,
)

__all__ = [
    "FAILED",
    "FAILURE_KINDS",
    "OK",
    "Failure",
    "FailureKind",
    "FetchError",
    "fetch_one",
    "main_cause",
    "requests_due",
    "run",
    "worst_hosts",
]
