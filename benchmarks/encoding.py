"""What the suites of encoders share: stored pictures, their manifest, a clock, the bare forward
pass.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from benchmarks.figures import SuiteUnavailableError
from clustering_pipeline.core.engine import LocalEngine
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.core.manifests import CLEAN_IMAGES, LOCAL_FEATURES, conform, empty
from clustering_pipeline.core.progress import Progress, SilentProgress
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages import embedding
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.storage import BlobStore, FeatureTables
from clustering_pipeline.synthetic import draw_products, encode_jpeg, studio_picture

SIDE = 640
_ROOM = 80


def require_models() -> None:
    """Raise SuiteUnavailableError where the libraries of the extra `models` are absent."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise SuiteUnavailableError(
            f"{error.name} is absent: install the extra `models`"
        ) from error


class Clock:
    """A progress that keeps how many seconds the last piece of work took, its loading left out."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def track(self, *_what: object) -> Iterator["Clock"]:
        """Measure the block."""
        started = time.perf_counter()
        yield self
        self.seconds = time.perf_counter() - started

    def advance(self, count: int = 1) -> None:
        """Forget the count."""


def store_pictures(count: int, blobs: Path) -> list[str]:
    """Store `count` distinct JPEGs of 640 pixels and return their digests; drawn once, then shifted
    and brightened.
    """
    random = np.random.default_rng(0)
    bases = [
        cv2.resize(studio_picture(product, SIDE + _ROOM), (SIDE + _ROOM, SIDE + _ROOM))
        for product in draw_products(24, seed=1)
    ]
    jobs = [
        (bases[n % len(bases)], int(random.integers(1 << 30)), str(blobs)) for n in range(count)
    ]
    stored = LocalEngine().map_batches(_store_variants, jobs, batch_size=64)
    return [digest for batch in stored for digest in batch]


def _store_variants(jobs: list[tuple[np.ndarray, int, str]]) -> list[str]:
    return [_store_variant(base, seed, BlobStore(blobs)) for base, seed, blobs in jobs]


def _store_variant(base: np.ndarray, seed: int, blobs: BlobStore) -> str:
    random = np.random.default_rng(seed)
    top, left = random.integers(0, np.array(base.shape[:2]) - SIDE + 1)
    cut = base[top : top + SIDE, left : left + SIDE].astype(np.int16) + random.integers(
        -20, 21, (1, 1, 3)
    )
    noise = random.integers(-3, 4, (80, 80, 1)).repeat(8, 0).repeat(8, 1)
    return blobs.put(encode_jpeg((cut + noise).clip(0, 255).astype(np.uint8), 85))


def clean_images(digests: list[str], side: int = SIDE) -> pd.DataFrame:
    """Return the manifest CLEAN_IMAGES of square pictures that are their own crops."""
    frame = pd.DataFrame({name: [None] * len(digests) for name in CLEAN_IMAGES.schema.names})
    box = {"x0": 0, "y0": 0, "x1": side, "y1": side}
    return conform(
        frame.assign(crop_sha256=digests, image_sha256=digests, status="kept", **box), CLEAN_IMAGES
    )


def stage_context(
    scratch: Path,
    name: str,
    hardware: Hardware | None = None,
    progress: Progress | None = None,
) -> StageContext:
    """Return a context with the pictures of `scratch` and tables of its own under `name`."""
    return StageContext(
        BlobStore(str(scratch / "blobs")),
        FeatureTables(str(scratch / name)),
        scratch,
        progress=progress or SilentProgress(),
        hardware=hardware or Hardware(),
    )


def embed(clean: pd.DataFrame, settings: EmbeddingSettings, context: StageContext) -> StageResult:
    """Run the stage `embeddings` alone."""
    return embedding.run(
        clean_images=clean,
        local_features=empty(LOCAL_FEATURES),
        settings=settings,
        context=context,
    )


@dataclass(frozen=True)
class BareForward:
    """A loaded model's forward pass on inputs that are on the device already, without the stage
    around it.
    """

    forward: Callable[[Any], Any]
    pixels: Any

    @classmethod
    def of(cls, encoder: Any, context: StageContext, rows: int) -> "BareForward":
        """Return the forward pass of a loaded neural encoder on `rows` random pictures."""
        import torch

        runner = encoder.runner.runners[0]
        shape = (rows, 3, *encoder.fitted(context).input_size)
        torch.manual_seed(0)
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8, device=runner.device)
        return cls(runner.forward, pixels)

    def run(self, times: int) -> None:
        """Compute so many batches and wait for the last."""
        import torch

        with torch.inference_mode():
            for _ in range(times):
                rows = self.forward(self.pixels)
            rows.float().cpu()

    def rate(self, seconds: float, most: int = 1000) -> float:
        """Return pictures a second, over about so many seconds and two batches at least."""
        self.run(2)
        started = time.perf_counter()
        self.run(1)
        once = time.perf_counter() - started
        times = max(2, min(most, int(seconds / max(once, 1e-6))))
        started = time.perf_counter()
        self.run(times)
        return times * len(self.pixels) / (time.perf_counter() - started)

    def operations(self) -> float:
        """Return the floating-point operations of one picture."""
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            self.forward(self.pixels[:1])
        return float(counter.get_total_flops())
