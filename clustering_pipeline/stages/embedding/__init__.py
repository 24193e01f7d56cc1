"""Encoders: from a crop to a unit-length vector."""

from clustering_pipeline.stages.embedding.autoencoder import Training, train_autoencoder
from clustering_pipeline.stages.embedding.local import LocalEncoder, Vocabulary, shipped_vocabulary
from clustering_pipeline.stages.embedding.reduction import Reduction, read_reduction
from clustering_pipeline.stages.embedding.stage import ENCODERS, Encoder, open_encoder, run
from clustering_pipeline.stages.embedding.towers import ClipEncoder

__all__ = [
    "ENCODERS",
    "ClipEncoder",
    "Encoder",
    "LocalEncoder",
    "Reduction",
    "Training",
    "Vocabulary",
    "open_encoder",
    "read_reduction",
    "run",
    "shipped_vocabulary",
    "train_autoencoder",
]
