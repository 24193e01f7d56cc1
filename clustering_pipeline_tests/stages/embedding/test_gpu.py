"""Encoders on a CUDA device: the same vectors as on the processor, and memory that runs out."""

import numpy as np
import pytest

from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.models import BatchRunner
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.embedding import open_encoder
from clustering_pipeline.storage import BlobStore, FeatureTables
from clustering_pipeline_tests.stages.embedding.test_neural import (
    encode,
    pictures,
    tiny_transformer,
)

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def context_on(tmp_path, device, precision="auto"):
    storage = BlobStore(str(tmp_path / "blobs")), FeatureTables(str(tmp_path / "features"))
    return StageContext(*storage, tmp_path, hardware=Hardware(device=device, precision=precision))


@pytest.mark.parametrize(
    ("precision", "closeness"), [("fp32", 0.99999), ("bf16", 0.999), ("fp16", 0.9999)]
)
@pytest.mark.parametrize("kind", ["clip", "dinov2", "resnet50"])
def test_the_device_does_not_change_the_meaning(kind, precision, closeness, tmp_path):
    tiny_transformer(kind, tmp_path / "model")
    settings = EmbeddingSettings(encoder=kind, model=str(tmp_path / "model"), batch_size=4)
    expected = encode(open_encoder(settings), context_on(tmp_path, "cpu"), pictures())
    vectors = encode(open_encoder(settings), context_on(tmp_path, "cuda", precision), pictures())
    cosines = (
        (expected * vectors).sum(1)
        / np.linalg.norm(expected, axis=1)
        / np.linalg.norm(vectors, axis=1)
    )
    assert cosines.min() > closeness


def test_a_full_memory_halves_the_batch_and_goes_on():
    free, _ = torch.cuda.mem_get_info()
    bytes_per_row = free // 6

    def hungry(rows):
        torch.empty((len(rows), bytes_per_row), dtype=torch.uint8, device="cuda")
        return rows.float()

    runner = BatchRunner(hungry, "cuda", 16)
    inputs = np.arange(40, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(runner(inputs), inputs)
    assert runner.batch_size == 4
