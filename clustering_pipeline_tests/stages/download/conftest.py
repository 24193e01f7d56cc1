import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import BlobStore, FeatureTables
from clustering_pipeline_tests.stages.download.server import running


def picture(seed=0, size=(40, 30), format="JPEG", **options):
    """The bytes of a small noisy picture."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def catalogue(urls, usable=True):
    """A catalogue with a listing per entry; an entry is a URL or a list of them."""
    lists = [[entry] if isinstance(entry, str) else list(entry) for entry in urls]
    return pd.DataFrame({"listing": range(len(lists)), "urls": lists, "usable": usable})


@pytest.fixture
def server():
    with running() as server:
        yield server


@pytest.fixture
def context(tmp_path):
    return StageContext(
        BlobStore(str(tmp_path / "blobs")),
        FeatureTables(str(tmp_path / "tables")),
        tmp_path / "state",
    )


@pytest.fixture
def settings(server):
    """Settings that reach the server and are in a hurry."""
    return DownloadSettings(
        allow_hosts=(server.host,),
        backoff_seconds=0.01,
        connect_seconds=1,
        idle_seconds=0.3,
        attempt_seconds=0.6,
        deadline_seconds=2,
        breaker_probe_seconds=0.05,
        breaker_patience_seconds=0.3,
    )
