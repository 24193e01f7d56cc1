"""What every stage is handed besides tables."""

import pytest

from clustering_pipeline.core.engine import LocalEngine
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import BlobStore, FeatureTables


@pytest.fixture
def context(tmp_path):
    """A store of its own, and one process on the CPU."""
    return StageContext(
        BlobStore(str(tmp_path / "blobs")),
        FeatureTables(str(tmp_path / "features")),
        tmp_path,
        LocalEngine(workers=1),
        hardware=Hardware(device="cpu"),
    )
