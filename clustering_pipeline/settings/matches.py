"""Knobs of candidate pairs and their verification."""

from typing import ClassVar, Literal

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings, performance_field
from clustering_pipeline.settings.embeddings import EmbeddingSettings


class TextReaderSettings(StageSettings):
    """How the text on a pack is read."""

    longest_side: int = Field(
        480, ge=160, le=2048, description="The product is scaled until its longer side has so many pixels before it is read."
    )
    recogniser: str | None = Field(
        None, description="ONNX file of another PP-OCR recognition model; the built-in one when unset."
    )
    recogniser_characters: str | None = Field(None, description="Text file with the characters of that model, one a line.")
    batch_size: int = performance_field(8, "Pictures per batch.", ge=1)


class VerificationSettings(StageSettings):
    """When the print of two crops is the same print."""

    logic_version: ClassVar[str] = "2"

    ratio: float = Field(0.85, gt=0, le=1, description="Lowe's ratio: nearest over second nearest descriptor distance.")
    tolerance: float = Field(8.0, gt=0, description="Pixels of the product frame by which an inlier may miss the affine map.")
    smallest: int = Field(8, ge=4, description="Fewest inliers of a verified pair.")


class MatchSettings(StageSettings):
    """Which pairs are looked at and what makes a match."""

    logic_version: ClassVar[str] = "4"

    enabled: bool = Field(True, description="false: clusters come from embeddings alone.")
    neighbours: int = Field(30, ge=1, description="Candidates per crop, in both directions.")
    further_embeddings: list[EmbeddingSettings] = Field(
        [],
        description="More encoders whose nearest neighbours become candidates too, each with the settings of `embeddings`.",
    )
    friend_rounds: int = Field(1, ge=0, le=4, description="How often friends of verified friends become candidates as well.")
    friends: int = Field(15, ge=0, description="Candidates per crop and round that come from friends of friends.")
    text_neighbours: int = Field(5, ge=0, description="Candidates per pack by the text that was read on it.")
    plain_keypoints: int = Field(
        200, ge=0, description="Crops with at most so many keypoints have too little print: their silhouettes are compared too."
    )
    crops: Literal["main", "all"] = Field("main", description="main: only the main crop of a picture is matched.")
    number_conflict: Literal["evidence", "veto"] = Field(
        "evidence", description="Whether different volumes, masses or numbers of packs weaken a pair or refuse it."
    )
    bundles: Literal["apart", "join"] = Field(
        "apart", description="Whether a bundle of several packs is another product than the single pack, or the same."
    )
    text: bool = Field(True, description="Read the text on the pack where it can change something.")
    reader: TextReaderSettings = Field(TextReaderSettings(), description="How text is read.")
    verification: VerificationSettings = Field(VerificationSettings(), description="How print is verified.")
    batch_size: int = performance_field(256, "Pairs per batch.", ge=1)
