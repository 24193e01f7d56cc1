"""Knobs of the grouping."""

from typing import Literal

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings, performance_field


class ClusterSettings(StageSettings):
    """Which method makes clusters, of what evidence, and its parameters."""

    method: str = Field("graph", description="Name of the grouping method in the registry.")
    evidence: Literal["auto", "matches", "embeddings"] = Field(
        "auto",
        description="What is grouped: verified matches or the cosines of embeddings; auto: matches for graph, else embeddings.",
    )
    no_match: Literal["keep", "drop", "singleton"] = Field(
        "keep",
        description="Listings that match nothing: keep: -1; drop: -1 and left out of every figure; singleton: a cluster of their own.",
    )
    same_photo: Literal["join", "split_on_title_conflict"] = Field(
        "split_on_title_conflict",
        description="Listings with one and the same photo: always together, or apart when titles contradict in number or unit.",
    )
    crops: Literal["main", "all"] = Field("main", description="Crops of a picture that can join listings.")
    smallest_weight: float = Field(0.6, ge=0, description="graph: matches of this weight or less are left out.")
    largest_weight: float = Field(6.0, gt=0, description="graph: matches count at most this weight.")
    elsewhere: float = Field(
        300.0, ge=0, description="graph: weight of links between the products of a catalogue of usual size; more joins more."
    )
    trials: int = Field(5, ge=1, le=100, description="graph: searches, of which the shortest description is taken.")
    eps: float = Field(0.25, gt=0, le=2, description="dbscan: cosine distance within which two crops are neighbours.")
    min_samples: int = Field(2, ge=1, description="dbscan: listings within eps, itself included, that make a crop a core.")
    threshold: float = Field(0.7, ge=-1, le=1, description="components: least cosine of two linked crops.")
    block_rows: int = performance_field(1024, "Rows of the distance matrix held at once.", ge=1)
