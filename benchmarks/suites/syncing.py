"""What syncing to the disk costs a first run of real shop photos with default settings.

Time is taken within `os.fsync`, in every process of the run, and where several wait at once it
counts once. It is set beside the least time that the run could take here: its processor seconds
over the cores. What other threads do meanwhile is not taken off, so the share is an upper bound,
and a busy processor does not make it smaller. Beside it, in turn, the same runs without any
`fsync`. What SQLite syncs by itself is in both.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from benchmarks.figures import Figure, Options
from benchmarks.pipeline import served_copy
from benchmarks.trials import Record, Trials
from clustering_pipeline.core.engine import available_cores
from clustering_pipeline.synthetic import LoopbackShop, serve_folder

# Python reads a module of this name in every process before anything else.
WATCHER = "sitecustomize.py"
WATCH = """
import os
import time

_log = os.open(os.environ["FSYNC_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
_fsync = os.fsync


def fsync(descriptor):
    started = time.monotonic()
    if os.environ["FSYNC"] == "on":
        _fsync(descriptor)
    os.write(_log, f"{started} {time.monotonic()}\\n".encode())


os.fsync = fsync
"""


def run(options: Options) -> list[Figure]:
    """Run the catalogue of `storefront` from nothing, in turn with and without syncing."""
    dataset, trials = options.dataset("storefront"), Trials("syncing", options)
    found: dict[str, list[Record]] = {"on": [], "off": []}
    with serve_folder(dataset) as shop:
        for number in range(1 if options.quick else 5):
            for mode in ("on", "off") if number % 2 else ("off", "on"):
                place = options.scratch / f"{mode}-{number}"
                record = trials.take(
                    f"{mode} {number}", partial(_first_run, dataset, shop, place, mode)
                )
                if record is not None:
                    found[mode].append(record)
    return figures(found["on"], found["off"], trials.commits)


def figures(on: list[Record], off: list[Record], commits: str) -> list[Figure]:
    """Return the share of the runs' time that syncing took, and how pairs of runs compare."""
    if not on:
        return []
    shares = tuple(100 * record["syncing"] / record["least"] for record in on)
    pairs = tuple(100 * (a["seconds"] / b["seconds"] - 1) for a, b in zip(on, off, strict=False))
    example = sorted(on, key=lambda record: record["seconds"])[len(on) // 2]
    told = (
        f"{example['syncing']:.2f} s in {example['calls']} calls, beside {example['least']:.0f} s; "
        f"the run took {example['seconds']:.0f} s; commit {commits}"
    )
    compared = [
        Figure("the same run with syncing beside one without", statistics.median(pairs), "%", runs=pairs,
               note="medians of pairs in turn; the machine's noise is in the spread")
    ] if pairs else []  # fmt: skip
    return [
        Figure("time within fsync beside the least time of a first run of storefront", statistics.median(shares), "%", 5, "at most", shares, told),
        *compared,
    ]  # fmt: skip


def _first_run(dataset: Path, shop: LoopbackShop, place: Path, mode: str) -> Record:
    place.mkdir()
    (place / WATCHER).write_text(WATCH)
    log = place / "fsync.log"
    workbook = served_copy(dataset, shop, place / "catalogue.xlsx")
    code = "from clustering_pipeline.cli import main; main()"
    arguments = ["run", str(workbook), "--allow-host", shop.host, "--json"]
    before, started = os.times(), time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=_environment(place, log, mode),
        check=False,
        capture_output=True,
        text=True,
    )
    seconds, after = time.monotonic() - started, os.times()
    if answer.returncode != 0:
        raise RuntimeError(f"the run ended with {answer.returncode}: {answer.stderr[-2000:]}")
    waits = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
    shutil.rmtree(place)
    return {
        "seconds": seconds,
        "least": (sum(after[2:4]) - sum(before[2:4])) / available_cores(),
        "syncing": covered(waits),
        "calls": len(waits),
    }


def _environment(place: Path, log: Path, mode: str) -> dict[str, str]:
    path = os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **os.environ,
        "DAGSTER_HOME": str(place / "home"),
        "PYTHONPATH": path,
        "FSYNC_LOG": str(log),
        "FSYNC": mode,
    }


def covered(intervals: Iterable[tuple[float, ...]]) -> float:
    """Return how long at least one of the intervals (start, end) lasts."""
    total, reached = 0.0, float("-inf")
    for first, last in sorted(intervals):
        total += max(0.0, last - max(first, reached))
        reached = max(reached, last)
    return total
