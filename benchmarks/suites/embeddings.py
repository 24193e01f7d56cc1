"""The `embeddings` stage beside its model's bare forward pass, and what it does with damage, a kill
and shared pictures.

The model has the shape of CLIP ViT-B/32 with random weights, which show speed, not quality; it runs
on the processor, and the suite `gpu` measures GPUs. Damage, the kill and the sharing are tried on
10,000 pictures with a tiny CLIP, which loads and runs through the same code in minutes.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.encoding import (
    BareForward,
    clean_images,
    embed,
    require_models,
    stage_context,
    store_pictures,
)
from benchmarks.figures import Figure, Options
from benchmarks.measuring import interleave
from benchmarks.towers import BASE, TINY, Tower, save_tower
from clustering_pipeline.core.engine import LocalEngine
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageResult
from clustering_pipeline.stages.embedding import open_encoder
from clustering_pipeline.storage import BlobStore
from clustering_pipeline.synthetic import encode_jpeg

ON_PROCESSOR = Hardware(device="cpu")
PROCESSOR_ROWS = 8


@dataclass(frozen=True)
class Trial:
    """A model and how much work shows its speed."""

    tower: Tower
    pictures: int
    batch: int
    rounds: int


def run(options: Options) -> list[Figure]:
    """Measure the stage against the bare forward, then damage, a kill and sharing."""
    require_models()
    trial = Trial(TINY, 64, 16, 1) if options.quick else Trial(BASE, 96, 16, 5)
    return [*_throughput(options, trial), *_resilience(options)]


def _throughput(options: Options, trial: Trial) -> list[Figure]:
    settings = EmbeddingSettings(
        encoder="clip",
        model=str(save_tower(options.scratch / "model", trial.tower)),
        batch_size=trial.batch,
    )
    clean = clean_images(store_pictures(trial.pictures, options.scratch / "blobs"))
    context = stage_context(options.scratch, "identity", ON_PROCESSOR)
    encoder = open_encoder(settings)
    encoder.load(context)
    bare = BareForward.of(encoder, context, PROCESSOR_ROWS)
    counter = iter(range(1_000_000))

    def whole() -> None:
        fresh = stage_context(options.scratch, f"run-{next(counter)}", ON_PROCESSOR)
        assert len(embed(clean, settings, fresh).manifest) == trial.pictures

    timings = interleave(
        {"bare": lambda: bare.run(-(-trial.pictures // PROCESSOR_ROWS)), "whole": whole},
        trial.rounds,
    )
    ratios = tuple(
        b / w for b, w in zip(timings["bare"].seconds, timings["whole"].seconds, strict=True)
    )
    note = (
        f"{trial.tower.name}, {trial.pictures} pictures: "
        f"{trial.pictures / timings['whole'].median:.1f} pictures/s, bare "
        f"{trial.pictures / timings['bare'].median:.1f}"
    )
    name = "images/s of the whole stage over the bare forward"
    return [Figure(name, float(np.median(ratios)), "", 0.94, runs=ratios, note=note)]


def _resilience(options: Options) -> list[Figure]:
    """One damaged picture among many, a kill at 60 % and a second category, on a tiny model."""
    count = 500 if options.quick else 10_000
    model = save_tower(options.scratch / "tiny", TINY)
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
            float(first.facts["failed"]),
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
    context = stage_context(scratch, "tables", ON_PROCESSOR)
    result = embed(clean_images(crops, side=72), settings, context)
    return result, context.cache.hits


if __name__ == "__main__":
    _embed_plan(Path(sys.argv[1]))
