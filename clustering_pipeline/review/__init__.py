"""What people say about a result: corrections kept for ever, what they do to clusters, and which
they have looked at.
"""

from clustering_pipeline.review import actions
from clustering_pipeline.review.actions import (
    INCOMING_SUFFIXES,
    Incoming,
    ReviewProgress,
    Signature,
    read_incoming,
    unknown_references,
)
from clustering_pipeline.review.queue import PairQueue, Question, Standing
from clustering_pipeline.review.store import CorrectionStore

__all__ = [
    "INCOMING_SUFFIXES",
    "CorrectionStore",
    "Incoming",
    "PairQueue",
    "Question",
    "ReviewProgress",
    "Signature",
    "Standing",
    "actions",
    "read_incoming",
    "unknown_references",
]
