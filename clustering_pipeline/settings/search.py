"""Knobs of the search index."""

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings


class SearchSettings(StageSettings):
    """How the search index is built."""

    exact_below: int = Field(
        20_000, ge=1, description="Vectors up to which every search compares all of them; above, inverted lists are built."
    )
    recall: float = Field(
        0.985,
        gt=0,
        le=1,
        description="Share of the true 10 nearest that a search over inverted lists has to find; the number of lists that are "
        "looked into is measured for it.",
    )
    seed: int = Field(7, ge=0, description="Seed of the lists' centres.")
