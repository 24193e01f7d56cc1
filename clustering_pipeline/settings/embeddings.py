"""Knobs of the encoder."""

from typing import ClassVar, Literal

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings, performance_field


class EmbeddingSettings(StageSettings):
    """Which encoder turns a crop into a vector."""

    logic_version: ClassVar[str] = "2"

    encoder: str = Field("local", description="Name of the encoder in the registry.")
    colour_share: float = Field(0.6, ge=0, description="local: weight of colour beside print, whose weight is 1.")
    model: str | None = Field(
        None,
        description="Neural encoders: folder, file, card name or hub repository of the weights; the encoder's own default when unset.",
    )
    flip: bool = Field(False, description="Neural encoders: average the vectors of a crop and of its mirror image.")
    reduce: Literal["none", "pca", "lda"] = Field(
        "none", description="pca, lda: reduce the vectors of the category to `reduced_dimension`; lda needs `reduce_labels`."
    )
    reduced_dimension: int = Field(128, ge=2, description="Dimension after pca, and at most after lda.")
    whiten: bool = Field(False, description="pca: scale every direction to the same variance.")
    reduce_labels: str | None = Field(None, description="lda: CSV file with crop_sha256 and group.")
    batch_size: int = performance_field(32, "Crops per batch.", ge=1)
