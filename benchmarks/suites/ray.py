"""The engine on Ray beside the local one: features and embeddings of 500 crops in turn, the same
manifests to the byte, and the same again while a worker is killed every 10 s.

A Ray of this machine with two processors; pictures are drawn, 5,000 of them with `--full`. Both engines get the same block of
crops one after the other, so that a busy minute hits both, and their workers are started before.
"""

import random
import signal
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from os import getpid, kill
from pathlib import Path
from threading import Event, Thread

import pandas as pd

from benchmarks.encoding import clean_images, stage_context, store_pictures
from benchmarks.figures import Figure, Options, SuiteUnavailableError
from benchmarks.measuring import time_once
from clustering_pipeline.core.engine import Engine, LocalEngine
from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.ray_engine import RayEngine
from clustering_pipeline.settings import EmbeddingSettings, LocalFeatureSettings
from clustering_pipeline.stages import embedding, features

QUICK, USUAL, FULL, BLOCKS, WORKERS = 320, 500, 5_000, 5, 2
SECONDS_BETWEEN_KILLS = 10.0


def run(options: Options) -> list[Figure]:
    """Measure both engines block by block, then a block whose workers are killed."""
    try:
        import ray
    except ImportError as error:
        raise SuiteUnavailableError("Ray is absent: install the extra `ray`") from error
    size = QUICK if options.quick else FULL if options.full else USUAL
    digests = store_pictures(size, options.scratch / "blobs")
    count = 2 if options.quick else BLOCKS
    blocks = [digests[start::count] for start in range(count)]
    engines: dict[str, Engine] = {"local": LocalEngine(WORKERS), "ray": RayEngine(WORKERS)}
    started = {name: time_once(partial(_warm, engine)) for name, engine in engines.items()}
    trials = {
        name: [_Trial(options.scratch, f"{name}-{number}", engine) for number in range(len(blocks))]
        for name, engine in engines.items()
    }
    for number, block in enumerate(blocks):
        # Whoever comes first finds the pictures in no cache of the kernel.
        for name in sorted(trials, reverse=number % 2 == 1):
            trials[name][number].run(block)
            seconds = trials[name][number].seconds
            print(f"block {number + 1} of {len(blocks)}, {name}: {seconds:.1f} s", flush=True)
    killed = _Trial(options.scratch, "killed", engines["ray"])
    problem = ""
    with _killing() as deaths:
        try:
            killed.run(blocks[0])
        except StageError as error:
            problem = str(error)
    ray.shutdown()
    told = problem or f"{len(deaths)} killed in {killed.seconds:.0f} s"
    return _figures(trials, killed, told, size, started)


class _Trial:
    """One engine on one block, with caches of its own."""

    def __init__(self, scratch: Path, name: str, engine: Engine) -> None:
        self.context = replace(stage_context(scratch, name), engine=engine)
        self.seconds = 0.0
        self.manifests: list[pd.DataFrame] = []

    def run(self, digests: list[str]) -> None:
        """Run both stages on the crops."""
        self.seconds = time_once(lambda: self._stages(clean_images(digests)))

    def _stages(self, clean: pd.DataFrame) -> None:
        local = features.run(
            clean_images=clean, settings=LocalFeatureSettings(), context=self.context
        ).manifest
        vectors = embedding.run(
            clean_images=clean,
            local_features=local,
            settings=EmbeddingSettings(),
            context=self.context,
        ).manifest
        self.manifests = [local, vectors]

    def equals(self, other: "_Trial") -> bool:
        """Whether the manifests are the same to the byte."""
        return all(
            _bytes(mine) == _bytes(theirs)
            for mine, theirs in zip(self.manifests, other.manifests, strict=True)
        )


def _bytes(frame: pd.DataFrame) -> bytes:
    content: bytes = frame.to_parquet()
    return content


def _figures(
    trials: dict[str, list[_Trial]],
    killed: _Trial,
    told: str,
    size: int,
    started: dict[str, float],
) -> list[Figure]:
    pairs = list(zip(trials["local"], trials["ray"], strict=True))
    ratios = tuple(local.seconds / on_ray.seconds for local, on_ray in pairs)
    seconds = {name: sum(trial.seconds for trial in those) for name, those in trials.items()}
    return [
        Figure(
            f"throughput on Ray over local, features and embeddings of {size:,} crops",
            statistics.median(ratios),
            "",
            0.8,
            runs=ratios,
            note=f"{size / seconds['ray']:.1f} and {size / seconds['local']:.1f} crops/s over all; "
            f"starting {started['ray']:.1f} and {started['local']:.1f} s, not counted",
        ),
        Figure(
            "blocks with equal manifests to the byte",
            sum(on_ray.equals(local) for local, on_ray in pairs) / len(pairs),
            "",
            1.0,
        ),
        Figure(
            f"the same manifests with a worker killed every {SECONDS_BETWEEN_KILLS:.0f} s",
            float(bool(killed.manifests) and killed.equals(trials["local"][0])),
            "",
            1.0,
            note=f"{told}; {trials['ray'][0].seconds:.0f} s undisturbed",
        ),
    ]


def _warm(engine: Engine) -> None:
    list(engine.map_batches(list, range(64), batch_size=1))


@contextmanager
def _killing() -> Iterator[list[int]]:
    """Kill a random worker of this process's Ray every few seconds while the block runs; gives the
    list of those that were killed.
    """
    deaths: list[int] = []
    ended, chance = Event(), random.Random(7)

    def kill_workers() -> None:
        while not ended.wait(SECONDS_BETWEEN_KILLS):
            if workers := _busy_workers():
                deaths.append(chance.choice(workers))
                kill(deaths[-1], signal.SIGKILL)

    thread = Thread(target=kill_workers)
    thread.start()
    try:
        yield deaths
    finally:
        ended.set()
        thread.join()


def _busy_workers() -> list[int]:
    """Return the workers that descend from this process and hold a batch or a model."""
    parents, titles = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text()
                titles[int(folder.name)] = (folder / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(folder.name)] = int(stat.rpartition(") ")[2].split()[1])
    return sorted(
        pid
        for pid, title in titles.items()
        # Ray's own agents are called `ray::…Agent`, those that wait `ray::IDLE`.
        if title.startswith(b"ray::_") and _descends(pid, parents)
    )


def _descends(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == getpid():
            return True
    return False
