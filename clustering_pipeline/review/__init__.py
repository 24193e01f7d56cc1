"""What people say about a result: corrections kept for ever, what they do to clusters, and which
they have looked at.
"""

from clustering_pipeline.review import actions
from clustering_pipeline.review.actions import (
    INCOMING_SUFFIXES,
    Incoming,
    Signature,
    Statement,
    read_incoming,
)
from clustering_pipeline.review.progress import ReviewProgress
from clustering_pipeline.review.store import KEEP, CorrectionStore, ListingReference

__all__ = [
    "INCOMING_SUFFIXES",
    "KEEP",
    "CorrectionStore",
    "Incoming",
    "ListingReference",
    "ReviewProgress",
    "Signature",
    "Statement",
    "actions",
    "read_incoming",
]
