"""The `embeddings` stage beside its model's bare forward pass, and what it does with damage, a kill
and shared pictures.

The model has the shape of CLIP ViT-bigG/14 on a CUDA device and of ViT-B/32 elsewhere, with random
weights: they show speed, not quality. Damage, the kill and the sharing are tried on 10,000 pictures
with a tiny CLIP, which loads and runs through the same code in minutes.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from benchmarks.figures import Figure, Options, SuiteUnavailableError
from benchmarks.measuring import interleave
from clustering_pipeline.core.engine import LocalEngine
from clustering_pipeline.core.manifests import CLEAN_IMAGES, LOCAL_FEATURES, conform, empty
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages import embedding
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.stages.embedding import open_encoder
from clustering_pipeline.storage import BlobStore, FeatureTables
from clustering_pipeline.synthetic import draw_products, encode_jpeg, studio_picture

BIGG = {
    "hidden_size": 1664,
    "intermediate_size": 8192,
    "num_hidden_layers": 48,
    "num_attention_heads": 16,
    "patch_size": 14,
}
BASE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "patch_size": 32,
}
TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 16,
}


@dataclass(frozen=True)
class Shape:
    """A model's shape, its name, and how much work shows its speed."""

    name: str
    layers: dict[str, int]
    projection: int
    pictures: int
    batch: int
    rounds: int
    side: int = 224


def run(options: Options) -> list[Figure]:
    """Measure the stage against the bare forward, then damage, a kill and sharing."""
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        raise SuiteUnavailableError(
            f"{error.name} is absent: install the extra `models`"
        ) from error
    on_gpu = torch.cuda.is_available()
    shape = (
        Shape("ViT-bigG/14", BIGG, 1280, 10_000, 250, 2)
        if on_gpu
        else Shape("ViT-B/32", BASE, 512, 96, 16, 3)
    )
    if options.quick:
        shape = Shape("tiny", TINY, 16, 64, 16, 1, 32)
    return [*_throughput(options, shape, on_gpu), *_resilience(options)]


def _throughput(options: Options, shape: Shape, on_gpu: bool) -> list[Figure]:
    model = _save_model(options.scratch / "model", shape)
    settings = EmbeddingSettings(encoder="clip", model=str(model), batch_size=shape.batch)
    blobs = options.scratch / "blobs"
    clean = _clean_images(list(_pictures(shape.pictures, blobs)))
    context = _context(options.scratch, "identity")
    open_encoder(settings).identity(
        context
    )  # The digest of the weights is remembered from here on, as in daily use.
    bare, operations = _bare_forward(settings, context, shape)
    counter = iter(range(1_000_000))

    def whole() -> None:
        fresh = _context(options.scratch, f"run-{next(counter)}")
        result = embedding.run(
            clean_images=clean,
            local_features=empty(LOCAL_FEATURES),
            settings=settings,
            context=fresh,
        )
        assert len(result.manifest) == shape.pictures

    timings = interleave({"bare": bare, "whole": whole}, shape.rounds, warm_up=1)
    ratios = tuple(
        b / w for b, w in zip(timings["bare"].seconds, timings["whole"].seconds, strict=True)
    )
    rate = shape.pictures / timings["whole"].median
    note = (
        f"{shape.name}, {shape.pictures} pictures: {rate:.1f} pictures/s, bare "
        f"{shape.pictures / timings['bare'].median:.1f}"
    )
    name = "images/s of the whole stage over the bare forward"
    figures = [
        Figure(name, float(np.median(ratios)), "", 0.85 if on_gpu else 0.90, runs=ratios, note=note)
    ]
    return figures + (_utilisation(operations * rate) if on_gpu else [])


def _utilisation(model_rate: float) -> list[Figure]:
    measured = _matrix_rate()
    note = f"{model_rate / 1e12:.0f} of {measured / 1e12:.0f} TFLOP/s"
    return [
        Figure(
            "model FLOP/s over the measured bf16 matrix product",
            model_rate / measured,
            "",
            0.50,
            note=note,
        )
    ]


def _matrix_rate(side: int = 8192, rounds: int = 20) -> float:
    import torch

    a, b = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        a @ b
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(rounds):
        a @ b
    torch.cuda.synchronize()
    return 2 * side**3 * rounds / (time.perf_counter() - started)


def _bare_forward(
    settings: EmbeddingSettings, context: StageContext, shape: Shape
) -> tuple[Any, float]:
    """Return the work of `pictures` forward passes on inputs that are already on the device, and
    the operations of one picture.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    encoder: Any = open_encoder(settings)
    encoder.load(context)
    runner = encoder._runner
    pixels = torch.zeros(
        (shape.batch, 3, shape.side, shape.side), dtype=torch.uint8, device=runner.device
    )
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        runner.forward(pixels)

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(-(-shape.pictures // shape.batch)):
                rows = runner.forward(pixels)
            rows.float().cpu()

    return bare, counter.get_total_flops() / shape.batch


def _save_model(folder: Path, shape: Shape) -> Path:
    import torch
    import transformers

    torch.manual_seed(0)
    vision = transformers.CLIPVisionConfig(
        **shape.layers, image_size=shape.side, projection_dim=shape.projection, hidden_act="gelu"
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        tower = transformers.CLIPVisionModelWithProjection(vision)
    tower.to(torch.bfloat16 if device == "cuda" else torch.float32).save_pretrained(folder)
    size = {
        "size": {"shortest_edge": shape.side},
        "crop_size": {"height": shape.side, "width": shape.side},
    }
    transformers.CLIPImageProcessorPil(**size).save_pretrained(folder)
    del tower
    return folder


def _pictures(count: int, blobs: Path) -> Iterator[str]:
    """Store `count` distinct JPEGs of 640 pixels and yield their digests; drawn once, then shifted
    and brightened.
    """
    random = np.random.default_rng(0)
    bases = [
        cv2.resize(studio_picture(product, 720), (720, 720))
        for product in draw_products(24, seed=1)
    ]
    jobs = [
        (bases[n % len(bases)], int(random.integers(1 << 30)), str(blobs)) for n in range(count)
    ]
    for stored in LocalEngine().map_batches(_store_variants, jobs, batch_size=64):
        yield from stored


def _store_variants(jobs: list[tuple[np.ndarray, int, str]]) -> list[str]:
    return [_store_variant(base, seed, BlobStore(blobs)) for base, seed, blobs in jobs]


def _store_variant(base: np.ndarray, seed: int, blobs: BlobStore) -> str:
    random = np.random.default_rng(seed)
    top, left = random.integers(0, np.array(base.shape[:2]) - 639)
    cut = base[top : top + 640, left : left + 640].astype(np.int16) + random.integers(
        -20, 21, (1, 1, 3)
    )
    noise = random.integers(-3, 4, (80, 80, 1)).repeat(8, 0).repeat(8, 1)
    return blobs.put(encode_jpeg((cut + noise).clip(0, 255).astype(np.uint8), 85))


def _clean_images(digests: list[str], side: int = 640) -> pd.DataFrame:
    frame = pd.DataFrame({name: [None] * len(digests) for name in CLEAN_IMAGES.schema.names})
    box = {"x0": 0, "y0": 0, "x1": side, "y1": side}
    return conform(
        frame.assign(crop_sha256=digests, image_sha256=digests, status="kept", **box), CLEAN_IMAGES
    )


def _context(scratch: Path, name: str) -> StageContext:
    return StageContext(
        BlobStore(str(scratch / "blobs")), FeatureTables(str(scratch / name)), scratch
    )


def _resilience(options: Options) -> list[Figure]:
    """One damaged picture among many, a kill at 60 % and a second category, on a tiny model."""
    count = 500 if options.quick else 10_000
    model = _save_model(options.scratch / "tiny", Shape("tiny", TINY, 16, count, 32, 1, 32))
    scratch = options.scratch / "resilience"
    blobs = BlobStore(str(scratch / "blobs"))
    digests = list(
        LocalEngine().map_batches(
            partial(_store_plain, root=str(scratch / "blobs")), range(count - 1), batch_size=500
        )
    )
    crops = [digest for batch in digests for digest in batch] + [blobs.put(b"no picture")]
    plan = scratch / "plan.json"
    plan.write_text(json.dumps({"model": str(model), "scratch": str(scratch), "crops": crops}))
    killed = _run_until(plan, scratch, 0.6 * count)
    first, held = _embed_plan(plan)
    shared = crops[: count // 2] + [
        blobs.put(_plain_jpeg(seed)) for seed in range(count, count + count // 2)
    ]
    _, shared_held = _embed(model, scratch, shared)
    again = (count - held) / (count - killed)
    computed = 1 - shared_held / len(shared)
    return [
        Figure(
            f"crops without a vector among {count} with one damaged picture",
            first.facts["failed"],
            "",
            1,
            "at most",
        ),
        Figure(
            "crops computed after a kill over those that were left",
            again,
            "",
            1.05,
            "at most",
            note=f"{killed} were stored",
        ),
        Figure(
            "share computed for a category that shares half its pictures",
            computed,
            "",
            0.5,
            "at most",
        ),
    ]


def _run_until(plan: Path, scratch: Path, crops: float) -> int:
    """Embed in a process of its own, kill it when so many crops are stored, and return how many
    were.
    """
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.suites.embeddings", str(plan)])
    while process.poll() is None and _stored(scratch) < crops:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return _stored(scratch)


def _stored(scratch: Path) -> int:
    import pyarrow.parquet as pq

    return sum(
        pq.read_metadata(part).num_rows for part in (scratch / "tables").rglob("part-*.parquet")
    )


def _store_plain(seeds: list[int], root: str) -> list[str]:
    blobs = BlobStore(root)
    return [blobs.put(_plain_jpeg(seed)) for seed in seeds]


def _plain_jpeg(seed: int) -> bytes:
    tiles = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return encode_jpeg(tiles.repeat(12, 0).repeat(12, 1), 80)


def _embed_plan(plan: Path) -> tuple[StageResult, int]:
    content = json.loads(plan.read_text())
    return _embed(Path(content["model"]), Path(content["scratch"]), content["crops"])


def _embed(model: Path, scratch: Path, crops: list[str]) -> tuple[StageResult, int]:
    """Return what the stage made, and how many vectors it held before."""
    settings = EmbeddingSettings(encoder="clip", model=str(model), batch_size=32)
    clean = _clean_images(crops, side=72)
    context = _context(scratch, "tables")
    result = embedding.run(
        clean_images=clean,
        local_features=empty(LOCAL_FEATURES),
        settings=settings,
        context=context,
    )
    return result, context.cache.hits


if __name__ == "__main__":
    _embed_plan(Path(sys.argv[1]))
