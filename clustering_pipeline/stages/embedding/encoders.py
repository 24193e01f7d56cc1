"""What an encoder is, and the registry of encoders by name."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.facts import Facts
from clustering_pipeline.core.hardware import Precision
from clustering_pipeline.models import Pending
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.embedding.autoencoder import AutoencoderEncoder
from clustering_pipeline.stages.embedding.convolutional import ResNetIbnEncoder, VggEncoder
from clustering_pipeline.stages.embedding.local import LocalEncoder, Preparation
from clustering_pipeline.stages.embedding.onnx import EfficientNetEncoder, OnnxEncoder
from clustering_pipeline.stages.embedding.transformer import (
    ClipEncoder,
    Dino3Encoder,
    DinoEncoder,
    ResNetEncoder,
    VitEncoder,
)


class Encoder(Protocol):
    """Turns crops into vectors. A vector depends on its crop alone, never on the batch.

    The constructor takes the settings and does nothing heavy.
    """

    # What a preparation is given: RGB arrays of shape (h, w, 3), pairs of such arrays (the picture
    # and the crop; twice the crop where the picture has several), or pairs of LocalFeatures and
    # colour histogram.
    reads: ClassVar[Literal["pixels", "views", "local_features"]]

    def identity(self, context: StageContext, /) -> str:
        """Return what names the weights and the preprocessing: part of the cache's fingerprint."""

    def precision(self, context: StageContext, /) -> Precision:
        """Return the number format that a run here computes in; "auto" where there is one only."""

    def facts(self, context: StageContext, /) -> Facts:
        """Return what a person wants to know of the encoder: dimension, input size, normalisation,
        device.
        """

    def preparation(self, context: StageContext, /) -> Preparation:
        """Return the picklable function that makes `encode`'s input, a row per input; workers run
        it without the weights.
        """

    def load(self, context: StageContext, /) -> None:
        """Load the weights; raises StageError with the remedy."""

    def release(self) -> None:
        """Give the memory of the weights back; `load` makes the encoder usable again."""

    @property
    def rows(self) -> int | None:
        """How many inputs `begin` is best handed at once; None: as many as come together."""

    @property
    def ahead(self) -> int:
        """How many batches are worth having under way while the next one is prepared."""

    def begin(self, prepared: Sequence[NDArray[Any]]) -> Pending:
        """Start on prepared inputs and return what waits for their float32 (n, dimension) rows, of
        any length.
        """

    def encode(self, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """Return a float32 (n, dimension) row per prepared input, of any length."""


ENCODERS: dict[str, Callable[[EmbeddingSettings], Encoder]] = {
    "local": LocalEncoder,
    "efficientnet": EfficientNetEncoder,
    "clip": ClipEncoder,
    "vit": VitEncoder,
    "dinov2": DinoEncoder,
    "dinov3": Dino3Encoder,
    "resnet50": ResNetEncoder,
    "resnet50-ibn": ResNetIbnEncoder,
    "vgg16": VggEncoder,
    "autoencoder": AutoencoderEncoder,
    "onnx": OnnxEncoder,
}


def open_encoder(settings: EmbeddingSettings) -> Encoder:
    """Return the encoder that the settings name, not loaded."""
    return ENCODERS[settings.encoder](settings)
