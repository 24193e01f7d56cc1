"""Encoders, decoding and detectors on a CUDA device, beside the bare forward pass of each model.

The models have published shapes and random weights: they show speed, not quality. Each part stands
alone, in loops of so many seconds: one that fails is reported, and the others go on. Model FLOP/s are those of
the forward pass, as torch counts them, over the vendor's dense bf16 rate of the device. With --quick
everything is tried in tiny sizes, on a processor too.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.encoding import (
    BareForward,
    Clock,
    clean_images,
    embed,
    require_models,
    stage_context,
    store_pictures,
)
from benchmarks.figures import Figure, Options, SuiteUnavailableError
from benchmarks.random_detectors import DETECTORS, save_text_clip
from benchmarks.towers import BASE, BIGG, DINO, LARGE, SO400M, TINY, Tower, save_tower
from clustering_pipeline.core.engine import LocalEngine, available_cores
from clustering_pipeline.core.hardware import Device, Hardware, Precision
from clustering_pipeline.core.manifests import CATALOGUE, RAW_IMAGES, empty
from clustering_pipeline.imaging import decode_image
from clustering_pipeline.models import free_memory
from clustering_pipeline.settings import CropSettings, EmbeddingSettings
from clustering_pipeline.stages import detection
from clustering_pipeline.stages.detection import make_detector
from clustering_pipeline.stages.embedding import open_encoder
from clustering_pipeline.stages.prompts import Prompt
from clustering_pipeline.storage import BlobStore

TESTS = Path(__file__).resolve().parents[2] / "clustering_pipeline_tests"
# Dense bf16 FLOP/s by the vendors' data sheets.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
PROMPTS = (Prompt("hộp", "box", (), "glossary"), Prompt("chai", "bottle", (), "glossary"))


@dataclass(frozen=True)
class Plan:
    """How much is measured, and on which device."""

    device: Device
    towers: tuple[Tower, ...]
    pictures: int
    rows: tuple[int, ...]
    seconds: float
    precisions: tuple[Precision, ...]
    quick: bool


def run(options: Options) -> list[Figure]:
    """Measure every part in turn and print what it found at once."""
    require_models()
    import torch

    on_gpu = torch.cuda.is_available()
    if not on_gpu and not options.quick:
        raise SuiteUnavailableError("torch sees no CUDA device; --quick tries the suite without")
    device: Device = "cuda" if on_gpu else "cpu"
    towers, rows = (BIGG, SO400M, LARGE, DINO, BASE), (16, 64, 128, 256)
    plan = Plan(device, towers, 6000, rows, 4.0, ("fp32", "bf16", "fp16"), False)
    if options.quick:
        plan = Plan(device, (TINY,), 48, (2, 4, 8, 16), 0.05, ("fp32", "bf16"), True)
    digests = store_pictures(plan.pictures, options.scratch / "blobs")
    figures: list[Figure] = []
    for name, part in _parts(options, plan, digests):
        started = time.monotonic()
        try:
            found = part()
        except Exception as error:  # noqa: BLE001 - the other parts are to go on, whatever it was.
            found = [Figure(f"{name}: failed", 1, asked=0, bound="at most", note=_in_words(error))]
        free_memory()
        figures += found
        print(f"-- {name}, {time.monotonic() - started:.0f} s", flush=True)
        for figure in found:
            print(f"   {figure.name}: {figure.value:.4g} {figure.unit} {figure.note}", flush=True)
    return figures


def _in_words(error: Exception) -> str:
    return re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")[:300]


def _parts(
    options: Options, plan: Plan, digests: Sequence[str]
) -> Iterator[tuple[str, Callable[[], list[Figure]]]]:
    if plan.device == "cuda":
        yield "the device", _device
    for tower in plan.towers:
        yield tower.name, partial(_tower, options.scratch, plan, tower, digests)
    yield "decoding", partial(_decoding, options.scratch, plan, digests)
    for name in DETECTORS:
        yield name, partial(_detector, options.scratch, plan, name, digests)
    if not plan.quick:
        yield "torch.compile", partial(_compiled, options.scratch, plan)
        yield "tests", _tests


def _device() -> list[Figure]:
    rate = _matrix_rate()
    return [Figure("bf16 matrix product, 8192³", rate / 1e12, "TFLOP/s", note=_card())]


def _card() -> str:
    import torch

    return f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}"


def _matrix_rate(side: int = 8192, rounds: int = 30) -> float:
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


def _peak() -> float | None:
    name = _card()
    return next((rate for card, rate in PEAKS.items() if card in name), None)


def _tower(scratch: Path, plan: Plan, tower: Tower, digests: Sequence[str]) -> list[Figure]:
    """Measure one encoder: bare and in the stage at several batches, then in other precisions."""
    folder = save_tower(scratch / "tower", tower)
    settings = EmbeddingSettings(encoder=tower.encoder, model=str(folder))
    try:
        return [
            *_bare_and_stage(scratch, plan, tower, settings, digests),
            *_precisions(scratch, plan, tower, settings, digests),
            *_library(scratch, plan, tower, folder, digests),
        ]
    finally:
        shutil.rmtree(folder)


def _bare_and_stage(
    scratch: Path,
    plan: Plan,
    tower: Tower,
    settings: EmbeddingSettings,
    digests: Sequence[str],
) -> list[Figure]:
    context = stage_context(
        scratch, "bare", Hardware(plan.device, "bf16" if plan.device == "cuda" else "fp32")
    )
    encoder: Any = open_encoder(settings)
    started = time.perf_counter()
    encoder.load(context)
    loaded = time.perf_counter() - started
    chosen = encoder.runner.batch_size
    bare = {}
    for rows in plan.rows:
        bare[rows] = BareForward.of(encoder, context, rows).rate(plan.seconds / 2)
    operations = BareForward.of(encoder, context, 1).operations()
    held = _peak_memory(lambda: BareForward.of(encoder, context, plan.rows[-1]).run(1))
    encoder.release()
    figures = [
        Figure(f"{tower.name}: loading", loaded, "s", note=f"{chosen} rows at once by memory"),
        Figure(f"{tower.name}: peak memory at {plan.rows[-1]} rows", held / 2**30, "GiB"),
    ]
    for rows in plan.rows:
        count = max(rows, min(len(digests), int(bare[rows] * plan.seconds)))
        rate = _stage_rate(scratch, settings, context.hardware, rows, digests[:count])
        whole, asked = rate / bare[rows], None
        if tower is BIGG and rows >= 128:
            asked = 0.85
        note = f"{rate:.0f} pictures/s of {count}, bare {bare[rows]:.0f}"
        figures.append(
            Figure(f"{tower.name}: stage over bare, {rows} rows", whole, asked=asked, note=note)
        )
    peak = _peak() if plan.device == "cuda" else None
    if peak:
        best = max(bare.values())
        note = f"{operations / 1e9:.1f} GFLOP a picture, {best:.0f} pictures/s"
        asked = 0.40 if tower is BIGG else None
        share = best * operations / peak
        figures.append(
            Figure(f"{tower.name}: model FLOP/s over the peak", share, asked=asked, note=note)
        )
    return figures


def _stage_rate(
    scratch: Path,
    settings: EmbeddingSettings,
    hardware: Hardware,
    rows: int,
    digests: Sequence[str],
) -> float:
    """Return pictures a second of the stage once the model is loaded."""
    clock, tables = Clock(), scratch / "tables"
    context = stage_context(scratch, "tables", hardware, clock)
    changed = settings.model_copy(update={"device_batch": rows})
    result = embed(clean_images(list(digests)), changed, context)
    shutil.rmtree(tables)
    if len(result.manifest) != len(digests):
        raise ValueError(f"{len(result.manifest)} vectors of {len(digests)} pictures")
    return len(digests) / clock.seconds


def _peak_memory(work: Callable[[], None]) -> float:
    import torch

    if not torch.cuda.is_available():
        return 0.0
    torch.cuda.reset_peak_memory_stats()
    work()
    return float(torch.cuda.max_memory_allocated())


def _precisions(
    scratch: Path,
    plan: Plan,
    tower: Tower,
    settings: EmbeddingSettings,
    digests: Sequence[str],
) -> list[Figure]:
    """Measure the bare forward in each precision, and how near its vectors are to those of fp32."""
    figures, exact = [], None
    pictures = _decoded(scratch, digests[: min(64, plan.rows[-1])])
    for precision in plan.precisions:
        context = stage_context(scratch, "bare", Hardware(plan.device, precision))
        encoder: Any = open_encoder(settings.model_copy(update={"device_batch": plan.rows[1]}))
        encoder.load(context)
        vectors = encoder.encode(encoder.preparation(context)(pictures))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        rate = BareForward.of(encoder, context, plan.rows[1]).rate(plan.seconds / 4)
        exact = vectors if exact is None else exact
        nearness = float((vectors * exact).sum(axis=1).min())
        encoder.release()
        note = f"least cosine to fp32 {nearness:.6f}"
        figures.append(
            Figure(f"{tower.name}: bare forward in {precision}", rate, "pictures/s", note=note)
        )
    return figures


PROCESSORS = {
    "clip": "CLIPImageProcessorPil",
    "siglip": "SiglipImageProcessorPil",
    "dinov2": "BitImageProcessorPil",
}


def _library(
    scratch: Path, plan: Plan, tower: Tower, folder: Path, digests: Sequence[str]
) -> list[Figure]:
    """Compare vectors in fp32 with those of the library's own image processor and model."""
    import torch
    import transformers

    pictures = _decoded(scratch, digests[:8])
    context = stage_context(scratch, "bare", Hardware(plan.device, "fp32"))
    settings = EmbeddingSettings(
        encoder=tower.encoder, model=str(folder), fit="model", device_batch=len(pictures)
    )
    encoder: Any = open_encoder(settings)
    encoder.load(context)
    ours = encoder.encode(encoder.preparation(context)(pictures))
    encoder.release()
    processor = getattr(transformers, PROCESSORS[tower.kind]).from_pretrained(folder)
    model_class, output = tower.library_class
    model = getattr(transformers, model_class).from_pretrained(folder, dtype=torch.float32)
    pixels = processor(pictures, return_tensors="pt")["pixel_values"].to(plan.device)
    with torch.inference_mode():
        theirs = getattr(model.eval().to(plan.device)(pixels), output).cpu().numpy()
    lengths = np.linalg.norm(theirs, axis=1, keepdims=True)
    apart = float(np.abs(ours - theirs).max() / lengths.max())
    return [
        Figure(
            f"{tower.name}: largest difference to the library's own vectors, fp32, of unit length",
            apart,
            asked=1e-4,
            bound="at most",
        )
    ]


def _decoded(scratch: Path, digests: Sequence[str]) -> list[np.ndarray]:
    blobs = BlobStore(str(scratch / "blobs"))
    return [decode_image(blobs.get(digest)) for digest in digests]


def _decoding(scratch: Path, plan: Plan, digests: Sequence[str]) -> list[Figure]:
    """Measure how many JPEGs of 640 pixels are decoded a second, and prepared for a model."""
    blobs = BlobStore(str(scratch / "blobs"))
    contents = [blobs.get(digest) for digest in digests[:1500]]
    note = f"{available_cores()} cores, {len(contents)} JPEGs of 640 pixels"
    with ThreadPoolExecutor(available_cores()) as pool:
        threads = _rate(lambda: sum(1 for _ in pool.map(decode_image, contents)), len(contents))
    engine = LocalEngine()

    def processes() -> None:
        for _ in engine.map_batches(_decode_all, contents, batch_size=32):
            pass

    processes()
    figures = [
        Figure("decoding by Pillow in threads", threads, "pictures/s", note=note),
        Figure(
            "decoding by Pillow in processes",
            _rate(processes, len(contents)),
            "pictures/s",
            note=note,
        ),
    ]
    return figures + (_decoding_on_gpu(contents) if plan.device == "cuda" else [])


def _decode_all(contents: list[bytes]) -> list[int]:
    return [decode_image(content).size for content in contents]


def _rate(work: Callable[[], Any], count: int) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def _decoding_on_gpu(contents: Sequence[bytes]) -> list[Figure]:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    tensors = [torch.frombuffer(bytearray(content), dtype=torch.uint8) for content in contents]

    def decode() -> None:
        for start in range(0, len(tensors), 128):
            decode_jpeg(tensors[start : start + 128], ImageReadMode.RGB, device="cuda")
        torch.cuda.synchronize()

    decode()
    pixels = (
        decode_jpeg(tensors[0], ImageReadMode.RGB, device="cuda").cpu().numpy().transpose(1, 2, 0)
    )
    apart = np.abs(pixels.astype(int) - decode_image(contents[0]).astype(int))
    note = f"differs from Pillow by {apart.max()} levels at most, {apart.mean():.3f} on average"
    return [
        Figure(
            "decoding by torchvision on the GPU",
            _rate(decode, len(tensors)),
            "pictures/s",
            note=note,
        )
    ]


def _detector(scratch: Path, plan: Plan, name: str, digests: Sequence[str]) -> list[Figure]:
    """Measure a detector picture by picture in fp32, in batches in its short format, and in the
    stage.
    """
    folder = scratch / name
    folder.mkdir()
    place = DETECTORS[name](folder, plan.quick)
    text = {"text_model": str(save_text_clip(scratch / "text"))} if name == "yolo-world" else {}
    settings = CropSettings(
        detector=name, model=str(place), image_size=64 if plan.quick else None, **text
    )
    pictures = _decoded(scratch, digests[: 4 if plan.quick else 64])
    figures = [
        _detection_rate(scratch, plan, settings, precision, rows, pictures)
        for precision, rows in _trials(plan)
    ]
    return [*figures, _detection_stage(scratch, plan, settings, digests)]


def _trials(plan: Plan) -> list[tuple[Precision, int]]:
    if plan.device == "cuda":
        return [("fp32", 1), ("fp32", 16), ("auto", 1), ("auto", 16), ("auto", 32)]
    return [("auto", 1)]


def _detection_rate(
    scratch: Path,
    plan: Plan,
    settings: CropSettings,
    precision: Precision,
    rows: int,
    pictures: Sequence[np.ndarray],
) -> Figure:
    context = stage_context(scratch, "detection", Hardware(plan.device, precision))
    detector = make_detector(settings.model_copy(update={"device_batch": rows}))
    detector.load(context)
    detector.detect(pictures[:rows], PROMPTS)
    started, seen = time.perf_counter(), 0
    while seen == 0 or time.perf_counter() - started < plan.seconds / 2:
        detector.detect(pictures[:32], PROMPTS)
        seen += len(pictures[:32])
    rate = seen / (time.perf_counter() - started)
    detector.release()
    return Figure(f"{settings.detector}: {precision}, {rows} at once", rate, "pictures/s")


def _detection_stage(
    scratch: Path, plan: Plan, settings: CropSettings, digests: Sequence[str]
) -> Figure:
    clock = Clock()
    context = stage_context(scratch, "detection", Hardware(plan.device), clock)
    asked = digests[: 4 if plan.quick else 512]
    raw = pd.DataFrame({"listing": range(len(asked)), "image_sha256": asked})
    prompts = [asdict(prompt) | {"synonyms": list(prompt.synonyms)} for prompt in PROMPTS]
    result = detection.run(
        raw_images=raw.reindex(columns=RAW_IMAGES.schema.names).assign(position=0),
        english_prompts=pd.DataFrame(prompts),
        catalogue=empty(CATALOGUE),
        settings=settings,
        context=context,
    )
    note = f"{len(result.manifest)} crops of {len(asked)} pictures"
    return Figure(
        f"{settings.detector}: stage", len(asked) / clock.seconds, "pictures/s", note=note
    )


def _compiled(scratch: Path, plan: Plan) -> list[Figure]:
    """Measure what `compute.compile_encoder` costs and brings, on CLIP ViT-L/14."""
    folder = save_tower(scratch / "compiled", LARGE)
    rates, seconds = {}, 0.0
    for compiles in (False, True):
        hardware = Hardware(plan.device, "bf16", compiles=compiles)
        context = stage_context(scratch, "bare", hardware)
        encoder: Any = open_encoder(
            EmbeddingSettings(encoder="clip", model=str(folder), device_batch=128)
        )
        encoder.load(context)
        bare = BareForward.of(encoder, context, 128)
        started = time.perf_counter()
        bare.run(1)
        seconds = time.perf_counter() - started
        rates[compiles] = bare.rate(plan.seconds / 2)
        encoder.release()
    note = f"{rates[True]:.0f} and {rates[False]:.0f} pictures/s; {seconds:.0f} s to compile"
    return [Figure(f"{LARGE.name}: compiled over not", rates[True] / rates[False], note=note)]


def _tests() -> list[Figure]:
    """Run the tests that need a CUDA device, each module by its path."""
    paths = [str(path) for path in sorted(TESTS.rglob("test_gpu.py"))]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-o", "filterwarnings=", *paths]
    answer = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        cwd=TESTS.parent,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(TESTS.parent), os.environ.get("PYTHONPATH")])
            ),
        },
    )
    lines = answer.stdout.strip().splitlines() or answer.stderr.strip().splitlines() or [""]
    if answer.returncode:
        print("\n".join(lines[-60:]), flush=True)
    failed = re.search(r"(\d+) (failed|error)", lines[-1])
    count = int(failed.group(1)) if failed else int(answer.returncode != 0)
    return [
        Figure("tests for a CUDA device that fail", count, asked=0, bound="at most", note=lines[-1])
    ]
