"""What kills leave: 40 `kill -9` of runs of three categories in one home at random moments, and the
runs after them.

All runs are those of the command line with the default pools, on a drawn catalogue of a few
listings on loopback. A kill ends one run or all three, anywhere between the start of a home that is
empty and the last result.
"""

import itertools
import random
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from benchmarks.drawn_shop import DrawnShop, Ended, end, labels, open_shop, start
from benchmarks.figures import Figure, Options
from benchmarks.trials import Record, Trials

CATEGORIES = ("serum", "toner", "mask")
SEED = 17


def run(options: Options) -> list[Figure]:
    """Kill runs until as many died as were asked for, and compare what the next ones make."""
    asked, trials = 4 if options.quick else 40, Trials("crashes", options)
    with open_shop(options.scratch) as shop:
        whole = trials.take("undisturbed", lambda: _undisturbed(options.scratch / "whole", shop))
        kills = [] if whole is None else _kills(options.scratch, shop, trials, whole, asked)
    return figures(kills, asked, trials.commits, whole["seconds"] if whole else 0.0)


def figures(kills: Sequence[Record], asked: int, commits: str, undisturbed: float) -> list[Figure]:
    """Return what the trials that ran show, and how many of those asked for these are."""
    of = f"of {len(kills)} kills that were tried"
    failed = [word for kill in kills for word in kill["failures"]]
    different = [word for kill in kills for word in kill["differences"]]
    waits = tuple(kill["wait"] for kill in kills)
    nexts = tuple(kill["seconds"] for kill in kills)
    told = f"one or all of three categories; commit {commits}" if commits else ""
    return [
        Figure("kills that were tried", len(kills), "", asked, note=told),
        Figure(f"runs that did not end well, {of}", len(failed), "", 0, "at most", note="; ".join(failed)),
        Figure(f"results unlike those of undisturbed runs, {of}", len(different), "", 0, "at most", note="; ".join(different)),
        Figure(f"longest wait for the dead, {of}", max(waits, default=0.0), "s", 10, "at most", waits),
        Figure(f"slowest next run, {of}", max(nexts, default=0.0), "s", runs=nexts,
               note=f"three undisturbed first runs at once took {undisturbed:.0f} s"),
    ]  # fmt: skip


def _kills(
    scratch: Path, shop: DrawnShop, trials: Trials, whole: Record, asked: int
) -> list[Record]:
    """Return the trials in which somebody was killed: a moment may come after the last result."""
    kills: list[Record] = []
    for number in itertools.count():
        kill = trials.take(f"kill {number}", partial(_kill, scratch, shop, number, whole))
        if kill is None:
            return kills
        kills += [kill] if kill["killed"] else []
        if len(kills) == asked:
            return kills
    raise AssertionError("unreachable")


def _undisturbed(folder: Path, shop: DrawnShop) -> Record:
    trial = _Trial(folder, shop)
    ended = trial.run(CATEGORIES)
    results = {name: labels(trial.output(name)) for name in CATEGORIES}
    for name in CATEGORIES:
        if ended[name].code != 0 or not results[name]:
            raise RuntimeError(f"the undisturbed run of {name} failed: {ended[name].messages}")
    return {"seconds": max(one.seconds for one in ended.values()), "labels": results}


def _kill(scratch: Path, shop: DrawnShop, number: int, whole: Record) -> Record:
    """Kill the runs of some categories of a new home at a moment, and run these again."""
    chance = random.Random(f"{SEED}-{number}")
    victims = CATEGORIES if number % 2 else (chance.choice(CATEGORIES),)
    trial, moment = _Trial(scratch / str(number), shop), chance.uniform(0, whole["seconds"])
    dead, ended, wait = trial.disturb(victims, moment)
    failures = [
        f"{name} after {moment:.1f} s: {one.messages.strip()[-300:]}"
        for name, one in ended.items()
        if one.code != 0
    ]
    differences = [
        f"{name} after {moment:.1f} s"
        for name, one in ended.items()
        if one.code == 0 and labels(trial.output(name)) != whole["labels"][name]
    ]
    shutil.rmtree(trial.folder)
    return {
        "killed": dead,
        "moment": moment,
        "failures": failures,
        "differences": differences,
        "wait": wait,
        "seconds": max(ended[name].seconds for name in victims),
    }


class _Trial:
    """Three categories in one home."""

    def __init__(self, folder: Path, shop: DrawnShop) -> None:
        folder.mkdir(parents=True)
        self.folder, self.home, self.shop = folder, folder / "home", shop

    def output(self, category: str) -> Path:
        return self.folder / f"{category}.xlsx"

    def run(self, categories: Sequence[str]) -> dict[str, Ended]:
        started = time.monotonic()
        processes = {category: self._start(category) for category in categories}
        return {name: end(process, started) for name, process in processes.items()}

    def disturb(
        self, victims: Sequence[str], moment: float
    ) -> tuple[list[str], dict[str, Ended], float]:
        """Return who was killed, how the last run of each category ended, and the longest wait for
        the dead in seconds.
        """
        started = time.monotonic()
        processes = {category: self._start(category) for category in CATEGORIES}
        time.sleep(moment)
        dead = {name: processes[name].pid for name in victims if processes[name].poll() is None}
        for name in dead:
            processes[name].kill()
        with _WaitsForTheDead(self.home, set(dead.values())) as waits:
            for name in victims:
                processes[name].communicate()
            ended = self.run(victims)
            ended |= {
                name: end(processes[name], started) for name in CATEGORIES if name not in victims
            }
        return sorted(dead), ended, waits.longest

    def _start(self, category: str) -> subprocess.Popen[str]:
        return start(self.home, self.shop.command(category, self.output(category)))


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
