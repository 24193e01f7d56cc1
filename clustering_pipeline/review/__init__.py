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
from clustering_pipeline.review.map import (
    Placed,
    Tie,
    place_pictures,
    ties_between,
    ties_within,
)
from clustering_pipeline.review.queue import PairQueue, Picture, Question, Standing
from clustering_pipeline.review.store import CorrectionStore

__all__ = [
    "INCOMING_SUFFIXES",
    "CorrectionStore",
    "Incoming",
    "PairQueue",
    "Picture",
    "Placed",
    "Question",
    "ReviewProgress",
    "Signature",
    "Standing",
    "Tie",
    "actions",
    "place_pictures",
    "read_incoming",
    "ties_between",
    "ties_within",
    "unknown_references",
]
