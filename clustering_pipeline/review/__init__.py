"""What people say about a result: corrections kept for ever, and the pages on which they are made."""

from clustering_pipeline.review.store import CorrectionStore, ListingReference

__all__ = ["CorrectionStore", "ListingReference"]
