"""Training the autoencoder on crops, and encoding with what it wrote."""

import json

import numpy as np
import pytest

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.core.progress import SilentProgress
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.embedding import Training, open_encoder, train_autoencoder
from clustering_pipeline.storage import BlobStore, FeatureTables

pytest.importorskip("torch")
CPU = Hardware(device="cpu")


def crops(count=8):
    """Two kinds of plain pictures, so that there is something to learn."""
    kinds = [np.full((40, 40, 3), 220, np.uint8), np.full((40, 40, 3), 30, np.uint8)]
    noise = np.random.default_rng(0).integers(0, 20, (count, 40, 40, 3), dtype=np.uint8)
    return [kinds[n % 2] + noise[n] for n in range(count)]


def train(folder, **changes):
    return train_autoencoder(
        crops(), folder, Training(**{"dimension": 8, "epochs": 3, **changes}), CPU, SilentProgress()
    )


def test_the_loss_falls_and_is_drawn(tmp_path):
    losses = train(tmp_path / "model")
    assert losses[-1] < losses[0]
    assert (tmp_path / "model" / "loss.svg").read_text().startswith("<svg")


def test_training_twice_gives_the_same_weights(tmp_path):
    train(tmp_path / "a", epochs=1)
    train(tmp_path / "b", epochs=1)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (
        tmp_path / "b" / "model.safetensors"
    ).read_bytes()


def test_the_trained_encoder_gives_vectors_of_its_dimension(tmp_path):
    train(tmp_path / "model", epochs=1)
    storage = BlobStore(str(tmp_path / "blobs")), FeatureTables(str(tmp_path / "features"))
    context = StageContext(*storage, tmp_path, hardware=CPU)
    encoder = open_encoder(
        EmbeddingSettings(encoder="autoencoder", model=str(tmp_path / "model"), batch_size=8)
    )
    encoder.load(context)
    vectors = encoder.encode(encoder.preparation(context)(crops()))
    assert vectors.shape == (8, 8)
    assert np.isfinite(vectors).all()


def test_too_few_crops_are_refused(tmp_path):
    with pytest.raises(InputError, match="8 crops at least"):
        train_autoencoder(crops(3), tmp_path, Training(), CPU, SilentProgress())


def test_a_folder_without_configuration_says_so(tmp_path):
    train(tmp_path / "model", epochs=1)
    (tmp_path / "model" / "config.json").write_text(json.dumps({}))
    storage = BlobStore(str(tmp_path / "blobs")), FeatureTables(str(tmp_path / "features"))
    encoder = open_encoder(EmbeddingSettings(encoder="autoencoder", model=str(tmp_path / "model")))
    with pytest.raises(StageError, match="dimension"):
        encoder.load(StageContext(*storage, tmp_path, hardware=CPU))
