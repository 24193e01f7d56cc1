"""What crashes and damage leave: 40 kills of three categories at random moments, files that are lost
or changed, two homes on one storage, and what syncing to the disk costs.

All runs are those of the command line, on a drawn catalogue of a few listings on loopback.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pandas as pd

from benchmarks.figures import Figure, Options
from benchmarks.pipeline import clustering_pipeline, served_copy
from clustering_pipeline.synthetic import LoopbackShop, serve_folder, write_catalogue

CATEGORIES = ("serum", "toner", "mask")
# No command takes longer than this, however busy the machine.
SECONDS = 240.0
SEED = 17


def run(options: Options) -> list[Figure]:
    """Measure kills, damage, a second home and the cost of syncing."""
    with _shop(options.scratch) as shop:
        return [
            *_kills(options, shop),
            *_damage(options, shop),
            *_two_homes(options, shop),
            *_syncing(options),
        ]


@dataclass(frozen=True)
class _Shop:
    workbook: Path
    host: str

    def command(self, category: str, output: Path, *more: str) -> list[str]:
        """Return the arguments that label the catalogue as one category."""
        return [
            "run", str(self.workbook), "--category", category, "--output", str(output),
            "--allow-host", self.host, "--set", "matches.text=false", "--set", "compute.workers=1",
            *more,
        ]  # fmt: skip


@contextmanager
def _shop(scratch: Path) -> Iterator[_Shop]:
    images = scratch / "shop" / "images"
    images.mkdir(parents=True)
    with serve_folder(images) as server:
        catalogue = write_catalogue(
            images.parent, server.url, products=2, listings_per_product=(3, 3), problems=()
        )
        yield _Shop(catalogue.workbook, server.host)


@dataclass(frozen=True)
class _Ended:
    code: int
    messages: str
    seconds: float


def _start(home: Path, arguments: Sequence[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from clustering_pipeline.cli import main; main()"]
    return subprocess.Popen(
        [*command, *arguments, "--json"],
        env={**os.environ, "DAGSTER_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _end(process: subprocess.Popen[str], started: float) -> _Ended:
    try:
        _, messages = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        _, messages = process.communicate()
        return _Ended(-signal.SIGKILL, f"still running after {SECONDS:.0f} s. {messages}", SECONDS)
    return _Ended(process.returncode, messages, time.monotonic() - started)


def _labels(workbook: Path) -> list[tuple[object, ...]] | None:
    """Return what a labelled workbook says of every row, None when it is not there."""
    if not workbook.exists():
        return None
    header, *rows = openpyxl.load_workbook(workbook).worksheets[0].iter_rows(values_only=True)
    columns = [header.index(name) for name in ("product_base_id", "cluster_id", "status")]
    return [tuple(row[column] for column in columns) for row in rows]


def _kills(options: Options, shop: _Shop) -> list[Figure]:
    """Kill one or all of three runs of a home that is empty at first, then run them again."""
    moments = random.Random(SEED)
    count, folder = 4 if options.quick else 40, options.scratch / "kills"
    whole = _Trial(folder / "undisturbed", shop)
    together = max(ended.seconds for ended in whole.run(CATEGORIES).values())
    expected = {category: _labels(whole.output(category)) for category in CATEGORIES}
    trials = []
    for number in range(count):
        trial = _Trial(folder / str(number), shop)
        victims = CATEGORIES if number % 2 else (moments.choice(CATEGORIES),)
        trial.disturb(victims, moments.uniform(0, together), expected)
        trials.append(trial)
        shutil.rmtree(trial.home)
    failed = sum(trial.failures for trial in trials)
    different = sum(trial.differences for trial in trials)
    waits = tuple(trial.longest_wait for trial in trials)
    words = "; ".join(sorted({word for trial in trials for word in trial.words}))
    what = f"{count} kills of one or all of three categories"
    return [
        Figure(f"{what}: runs after it that did not end well", failed, "", 0, "at most", note=words),
        Figure(f"{what}: results unlike those of undisturbed runs", different, "", 0, "at most"),
        Figure(f"{what}: longest wait for the dead", max(waits), "s", 10, "at most", waits,
               f"three undisturbed runs at once took {together:.0f} s"),
    ]  # fmt: skip


class _Trial:
    """Three categories in one home."""

    def __init__(self, folder: Path, shop: _Shop) -> None:
        folder.mkdir(parents=True)
        self.folder, self.home, self.shop = folder, folder / "home", shop
        self.failures = self.differences = 0
        self.longest_wait = 0.0
        self.words: list[str] = []

    def output(self, category: str) -> Path:
        return self.folder / f"{category}.xlsx"

    def start(self, category: str) -> subprocess.Popen[str]:
        return _start(self.home, self.shop.command(category, self.output(category)))

    def run(self, categories: Sequence[str]) -> dict[str, _Ended]:
        started = time.monotonic()
        processes = {category: self.start(category) for category in categories}
        return {name: _end(process, started) for name, process in processes.items()}

    def disturb(self, victims: Sequence[str], moment: float, expected: dict[str, object]) -> None:
        """Kill the runs of some categories at a moment, and run these again."""
        started = time.monotonic()
        processes = {category: self.start(category) for category in CATEGORIES}
        time.sleep(moment)
        dead = {processes[name].pid for name in victims if processes[name].poll() is None}
        for name in victims:
            processes[name].kill()
        with _WaitsForTheDead(self.home, dead) as waits:
            for name in victims:
                processes[name].communicate()
            ended = self.run(victims)
            ended |= {
                name: _end(processes[name], started) for name in CATEGORIES if name not in victims
            }
        self.longest_wait = waits.longest
        for name, one in ended.items():
            if one.code != 0:
                self.failures += 1
                self.words.append(f"{name} at {moment:.1f} s: {one.messages.strip()[-300:]}")
            elif _labels(self.output(name)) != expected[name]:
                self.differences += 1


class _WaitsForTheDead:
    """Watches the pools of a home: how long a run waited for slots that only dead runs hold."""

    def __init__(self, home: Path, dead: set[int]) -> None:
        self.home, self.dead = home, dead
        self.longest = 0.0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look_on)

    def __enter__(self) -> "_WaitsForTheDead":
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look_on(self) -> None:
        since: dict[str, float] = {}
        while not self._over.wait(0.2):
            now, waiting = time.monotonic(), self._pools_of_the_dead()
            since = {pool: since.get(pool, now) for pool in waiting}
            self.longest = max([self.longest, *(now - first for first in since.values())])

    def _pools_of_the_dead(self) -> set[str]:
        """Return the pools that a living run waits for and only dead runs hold."""
        history = self.home / "history"
        try:
            dead = set(
                _rows(history / "runs.db", _RUNS_OF.format(",".join(map(str, self.dead or {0}))))
            )
            index = history / "runs" / "index.db"
            held = _rows(
                index,
                "SELECT concurrency_key, run_id FROM concurrency_slots WHERE run_id IS NOT NULL",
            )
            waits = _rows(
                index,
                "SELECT concurrency_key, run_id FROM pending_steps WHERE assigned_timestamp IS NULL",
            )
        except sqlite3.Error:
            # There is nothing yet, or somebody is making it.
            return set()
        alive = {pool for pool, run_id in waits if (run_id,) not in dead}
        holders = {pool: {run_id for key, run_id in held if key == pool} for pool in alive}
        return {
            pool for pool, runs in holders.items() if runs and all((one,) in dead for one in runs)
        }


_RUNS_OF = (
    "SELECT run_id FROM run_tags WHERE key = 'clustering_pipeline/command_line' AND value IN ({})"
)


def _rows(path: Path, query: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2)) as database:
        return database.execute(query).fetchall()


Damage = Callable[[Path], None]


def _lose(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _scribble(path: Path) -> None:
    path.write_bytes(b"\0" * max(path.stat().st_size, 100))


KINDS: dict[str, Damage] = {"lost": _lose, "empty": _empty, "cut": _cut, "a bit flipped": _flip}


def _victims(home: Path) -> dict[str, tuple[list[Path], Sequence[str]]]:
    """Return the files that are damaged, with the kinds of damage, by what they are."""
    storage, state = home / "storage", home / "state"
    manifests = storage / "manifests"

    def blob(asset: str, column: str) -> list[Path]:
        digest = pd.read_parquet(manifests / asset / "serum.parquet")[column].dropna().iloc[0]
        return [storage / "blobs" / digest[:2] / digest]

    source = json.loads((storage / "sources" / "serum.json").read_text())["sha256"]
    every = tuple(KINDS)
    return {
        "a picture": (blob("raw_images", "image_sha256"), every),
        "features of a picture": (blob("local_features", "features"), every),
        "the copy of the workbook": ([storage / "blobs" / source[:2] / source], every),
        "all parts of cached rows": (sorted(storage.glob("features/*/*/*.parquet")), every),
        "the manifest of the catalogue": ([manifests / "catalogue" / "serum.parquet"], every),
        "the manifest of the clusters": ([manifests / "clusters" / "serum.parquet"], every),
        "the facts of the workbook": ([manifests / "labeled_excel" / "serum.facts.json"], ("lost", "cut")),
        "the record of the source": ([storage / "sources" / "serum.json"], ("empty", "cut")),
        "the register of numbers": ([state / "cluster_numbers.sqlite"], ("lost", "empty", "cut")),
        "the corrections": ([state / "corrections.sqlite"], ("lost", "empty", "cut")),
        "the journal of downloads": ([state / "download.sqlite"], ("empty", "cut")),
        "Dagster's index of events": ([home / "history/runs/index.db"], ("lost", "empty")),
    }  # fmt: skip


def _damage(options: Options, shop: _Shop) -> list[Figure]:
    """Damage one thing of a finished home at a time, and run it again twice."""
    base, output = options.scratch / "damage" / "base", options.scratch / "damage" / "serum.xlsx"
    output.parent.mkdir()
    clustering_pipeline(base, *shop.command("serum", output))
    pair = [str(row[0]) for row in _labels(output) or [] if row[1] == 1][:2]
    (options.scratch / "said.csv").write_text(f"kind,id_a,id_b\ndifferent,{pair[0]},{pair[1]}\n")
    clustering_pipeline(base, "corrections", "import", str(options.scratch / "said.csv"))
    clustering_pipeline(base, *shop.command("serum", output))
    expected = _labels(output)
    outcomes = {
        f"{what}, {kind}": _after(options.scratch / "damage" / "home", base, shop, output, expected, victims, kind)
        for what, (victims, kinds) in _victims(base).items()
        for kind in (kinds[:1] if options.quick else kinds)
    }  # fmt: skip
    wrong = [name for name, outcome in outcomes.items() if outcome == "wrong"]
    stuck = [name for name, outcome in outcomes.items() if outcome == "stuck"]
    second = [name for name, outcome in outcomes.items() if outcome == "second"]
    what = f"{len(outcomes)} cases of damage"
    return [
        Figure(f"{what}: results that are wrong without a word", len(wrong), "", 0, "at most", note="; ".join(wrong)),
        Figure(f"{what}: runs that fail for ever", len(stuck), "", 0, "at most", note="; ".join(stuck)),
        Figure(f"{what}: made good by the second run instead of the first", len(second), note="; ".join(second)),
    ]  # fmt: skip


def _after(
    home: Path,
    base: Path,
    shop: _Shop,
    output: Path,
    expected: object,
    victims: Sequence[Path],
    kind: str,
) -> str:
    """Return what came of one damage: first, second (the run that made it good), wrong or stuck."""
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(base, home)
    for victim in victims:
        KINDS[kind](home / victim.relative_to(base))
    for attempt in ("first", "second"):
        # Everything is read again, not only what is not fresh.
        ended = _end(_start(home, shop.command("serum", output, "--force")), time.monotonic())
        if ended.code == 0:
            return attempt if _labels(output) == expected else "wrong"
    return "stuck"


def _two_homes(options: Options, shop: _Shop) -> list[Figure]:
    """Run two homes on one storage."""
    storage, homes = options.scratch / "shared", [options.scratch / name for name in ("one", "two")]
    for home in homes:
        home.mkdir()
        (home / "settings.yaml").write_text(f"storage:\n  root: {storage}\n")
    outputs = [home.with_suffix(".xlsx") for home in homes]
    clustering_pipeline(homes[0], *shop.command("serum", outputs[0]))
    second = _end(_start(homes[1], shop.command("toner", outputs[1])), time.monotonic())
    refused = second.code == 2 and "belongs to the home" in second.messages
    given = _labels(outputs[1]) or []
    return [
        Figure("second home on a storage: refused in words", int(refused), "", 1, note=" ".join(second.messages.split())[-160:]),
        Figure("second home on a storage: numbers given twice", len(given), "", 0, "at most"),
    ]  # fmt: skip


NEVER = "import os; os.fsync = lambda descriptor: None; from clustering_pipeline.cli import main; main()"
ALWAYS = "from clustering_pipeline.cli import main; main()"


def _syncing(options: Options) -> list[Figure]:
    """Compare first runs that wait for the disk with first runs that never do."""
    if options.datasets is None:
        return []
    dataset, rounds = options.dataset("storefront"), 1 if options.quick else 3
    seconds: dict[str, list[float]] = {ALWAYS: [], NEVER: []}
    with serve_folder(dataset / "images") as shop:
        for number in range(rounds):
            for code in (ALWAYS, NEVER) if number % 2 else (NEVER, ALWAYS):
                place = options.scratch / f"sync-{number}-{len(code)}"
                seconds[code].append(_first_run(dataset, shop, place, code))
                shutil.rmtree(place)
    cost = statistics.median(seconds[ALWAYS]) / statistics.median(seconds[NEVER]) - 1
    return [
        Figure("syncing in a first run of storefront costs", 100 * cost, "%", 5, "at most",
               tuple(100 * (a / b - 1) for a, b in zip(seconds[ALWAYS], seconds[NEVER], strict=True)),
               f"{statistics.median(seconds[ALWAYS]):.1f} s and {statistics.median(seconds[NEVER]):.1f} s without")
    ]  # fmt: skip


def _first_run(dataset: Path, shop: LoopbackShop, place: Path, code: str) -> float:
    place.mkdir()
    workbook = served_copy(dataset, shop, place / "catalogue.xlsx")
    arguments = [
        "run",
        str(workbook),
        "--allow-host",
        shop.host,
        "--set",
        "matches.text=false",
        "--json",
    ]
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "DAGSTER_HOME": str(place / "home")},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - started
