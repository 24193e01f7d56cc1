"""Checks of the assets: integrity, which blocks, and quality, which is reported."""

from clustering_pipeline.checks.integrity import EVERY_LISTING, EVERY_ROW_WRITTEN, SCHEMA, UNIQUE_KEYS, USABLE_LISTINGS
from clustering_pipeline.checks.outcomes import Check, Evidence, Outcome
from clustering_pipeline.checks.quality import (
    CLUSTER_COUNT_JUMP,
    DETECTION_RATE,
    DOWNLOAD_SUCCESS,
    LARGEST_CLUSTER_SHARE,
    NO_MATCH_SHARE,
    REJECTED_SHARE,
)

__all__ = [
    "CLUSTER_COUNT_JUMP",
    "DETECTION_RATE",
    "DOWNLOAD_SUCCESS",
    "EVERY_LISTING",
    "EVERY_ROW_WRITTEN",
    "LARGEST_CLUSTER_SHARE",
    "NO_MATCH_SHARE",
    "REJECTED_SHARE",
    "SCHEMA",
    "UNIQUE_KEYS",
    "USABLE_LISTINGS",
    "Check",
    "Evidence",
    "Outcome",
]
