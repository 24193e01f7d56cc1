"""Knobs of the grouping."""

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings


class ClusterSettings(StageSettings):
    """Which method makes clusters of matches, and its parameters."""

    method: str = Field("graph", description="Name of the grouping method in the registry.")
    eps: float = Field(0.25, gt=0, le=2, description="dbscan: cosine distance of two neighbours.")
    min_samples: int = Field(2, ge=1, description="dbscan: neighbours of a core crop, itself included.")
