"""Knobs of near-identical pictures by embedding."""

from typing import ClassVar, Literal

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings


class SemanticDuplicateSettings(StageSettings):
    """When two embeddings show the same picture."""

    logic_version: ClassVar[str] = "2"

    threshold: float | None = Field(
        None, ge=-1, le=1, description="Cosine of one and the same picture; the encoder's own when unset."
    )
    found: Literal["link", "reject"] = Field(
        "link",
        description="link: a near-identical picture inherits the cluster of its keeper. reject: its listing gets no cluster, as in "
        "a funnel that thins out training pictures.",
    )
