"""The whole way from a workbook of sellers' listings to the labelled one, with default settings,
beside the decoding of its pictures and a plain funnel of published parts.

The pictures of `sellers` as they are, and enlarged to 1,600 pixels. Each set is run from nothing
without its last 3 % of rows, again unchanged, and with these rows. What takes the time is told per
stage. The funnel decodes with OpenCV, measures blur, hashes with imagehash and looks for near
hashes with FAISS, on as many processes.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openpyxl

from benchmarks.figures import Figure, Options
from benchmarks.pipeline import Command, clustering_pipeline, served_copy
from clustering_pipeline.core.engine import available_cores
from clustering_pipeline.imaging import decode_image, resize, to_jpeg
from clustering_pipeline.synthetic import LoopbackShop, serve_folder

LARGE_SIDE, QUICK_ROWS, NEW_SHARE = 1600, 40, 0.03
BEFORE_MATCHING = (
    "raw_images",
    "crops",
    "clean_images",
    "local_features",
    "embeddings",
    "semantic_duplicates",
)
# Bits of 64 within which two perceptual hashes are near.
NEAR_HASHES = 8


@dataclass(frozen=True)
class Trial:
    """The runs of one set of pictures, and what stands beside them, in seconds."""

    pictures: int
    first: Command
    unchanged: Command
    grown: Command
    decoding: float
    funnel: float

    def steps(self) -> dict[str, float]:
        """Return the seconds of each stage of the first run."""
        return {step["asset"]: float(step["seconds"]) for step in self.first.result["steps"]}


def run(options: Options) -> list[Figure]:
    """Run both sets."""
    original = options.dataset("sellers")
    large = _enlarged(original, options.scratch / "large", QUICK_ROWS if options.quick else None)
    figures: list[Figure] = []
    for name, dataset in (("as they are", original), (f"at {LARGE_SIDE} px", large)):
        trial = _trial(dataset, options.scratch / name.replace(" ", "-"), options.quick)
        print(f"-- {name}: {trial.first.seconds:.0f} s", flush=True)
        figures += _figures(name, trial, LARGE_SIDE if dataset is large else None)
    return figures


def _enlarged(dataset: Path, target: Path, most: int | None) -> Path:
    """Write the set with its pictures' shorter side at 1,600 pixels, as JPEG files of the same
    names.
    """
    (target / "images").mkdir(parents=True)
    shutil.copy(dataset / "catalogue.xlsx", target)
    for path in sorted((dataset / "images").iterdir())[:most]:
        pixels = decode_image(path.read_bytes())
        height, width = pixels.shape[:2]
        scale = LARGE_SIDE / min(height, width)
        larger = resize(pixels, round(width * scale), round(height * scale))
        (target / "images" / path.name).write_bytes(to_jpeg(larger, 90))
    return target


def _trial(dataset: Path, place: Path, quick: bool) -> Trial:
    place.mkdir()
    with serve_folder(dataset) as shop:
        whole = served_copy(dataset, shop, place / "sellers.xlsx")
        rows = QUICK_ROWS if quick else _rows(whole)
        old = rows - max(1, round(NEW_SHARE * rows))
        workbook = place / "run" / "sellers.xlsx"
        workbook.parent.mkdir()
        names = sorted((dataset / "images").iterdir())[:rows]
        decoding = [_parallel(_decode_all, names)]
        _first_rows(whole, workbook, old)
        first, unchanged = (_run(workbook, place / "home", shop) for _ in range(2))
        _first_rows(whole, workbook, rows)
        grown = _run(workbook, place / "home", shop)
        decoding.append(_parallel(_decode_all, names))
        return Trial(old, first, unchanged, grown, min(decoding), _funnel(names))


def _run(workbook: Path, home: Path, shop: LoopbackShop) -> Command:
    return clustering_pipeline(home, "run", str(workbook), "--allow-host", shop.host)


def _rows(workbook: Path) -> int:
    return int(openpyxl.load_workbook(workbook).worksheets[0].max_row) - 1


def _first_rows(workbook: Path, target: Path, rows: int) -> None:
    book = openpyxl.load_workbook(workbook)
    book.worksheets[0].delete_rows(rows + 2, book.worksheets[0].max_row)
    book.save(target)


def _parallel(work: Callable[[Sequence[Path]], object], paths: Sequence[Path]) -> float:
    """Return how long all cores take for `work` on shares of the files, seconds."""
    cores = available_cores()
    with ProcessPoolExecutor(cores) as pool:
        # The processes and what they import are there before the clock starts.
        list(pool.map(work, [paths[:1]] * cores))
        started = time.perf_counter()
        list(pool.map(work, [paths[start::cores] for start in range(cores)]))
        return time.perf_counter() - started


def _decode_all(paths: Sequence[Path]) -> None:
    for path in paths:
        decode_image(path.read_bytes())


def _funnel(paths: Sequence[Path]) -> float:
    """Return how long the plain funnel takes, seconds."""
    import faiss

    seconds = _parallel(_hashes, paths)
    hashes = _hashes(paths[:1]).repeat(len(paths), axis=0)
    started = time.perf_counter()
    index = faiss.IndexBinaryFlat(64)
    index.add(hashes)
    index.range_search(hashes, NEAR_HASHES)
    return seconds + time.perf_counter() - started


def _hashes(paths: Sequence[Path]) -> np.ndarray:
    import cv2
    import imagehash
    from PIL import Image

    found = []
    for path in paths:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError(f"OpenCV does not read {path}")
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        cv2.Laplacian(grey, cv2.CV_64F).var()
        shown = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        found.append(np.packbits(imagehash.phash(shown).hash.ravel()))
    return np.stack(found)


def _figures(name: str, trial: Trial, asked_side: int | None) -> list[Figure]:
    steps = trial.steps()
    before = sum(steps.get(stage, 0.0) for stage in BEFORE_MATCHING)
    asked = asked_side is not None
    first = trial.first
    stages = {stage: round(seconds, 1) for stage, seconds in steps.items()}
    longest = sorted(stages, key=stages.__getitem__, reverse=True)[:5]
    shares = ", ".join(f"{stage} {stages[stage] / first.seconds:.0%}" for stage in longest)
    told = (
        f"{trial.pictures} listings in {first.seconds:.0f} s and {first.processor_seconds:.0f} s "
        f"of processor: {shares}; decoding them takes {trial.decoding:.1f} s on all cores"
    )
    return [
        Figure(
            f"{name}: listings a second of a first run",
            trial.pictures / first.seconds,
            "",
            8.0 if asked else None,
            note=told,
            details=dict(stages),
        ),
        Figure(
            f"{name}: first run over decoding its pictures",
            first.seconds / trial.decoding,
            "×",
            30.0 if asked else None,
            "at most",
        ),
        Figure(
            f"{name}: pictures a second before matching",
            trial.pictures / before,
            "",
            25.0 if asked else None,
        ),
        Figure(
            f"{name}: the plain funnel, pictures a second",
            trial.pictures / trial.funnel,
            note="decodes, measures blur and hashes; detects, embeds and reads nothing",
        ),
        Figure(
            f"{name}: an unchanged run",
            trial.unchanged.seconds,
            "s",
            3.0 if asked else None,
            "at most",
            note=f"{trial.unchanged.processor_seconds:.1f} s of processor",
        ),
        Figure(
            f"{name}: 3 % new listings",
            trial.grown.seconds,
            "s",
            note=f"{trial.grown.processor_seconds:.1f} s of processor",
        ),
    ]
