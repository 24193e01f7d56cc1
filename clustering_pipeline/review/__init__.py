"""What people say about a result: corrections kept for ever, what they do to clusters, and which
they have looked at.
"""

from typing import TYPE_CHECKING

from clustering_pipeline.core.faces import imported_when_used
from clustering_pipeline.review.store import CorrectionStore

if TYPE_CHECKING:
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

# What shows clusters brings the report and SciPy; whoever reads corrections needs neither.
__getattr__ = imported_when_used(
    __name__,
    {
        "actions": [
            "INCOMING_SUFFIXES",
            "Incoming",
            "ReviewProgress",
            "Signature",
            "read_incoming",
            "unknown_references",
        ],
        "map": ["Placed", "Tie", "place_pictures", "ties_between", "ties_within"],
        "queue": ["PairQueue", "Picture", "Question", "Standing"],
    },
)
