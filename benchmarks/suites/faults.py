"""Faults around runs: a disk that is full at any stage, a shop that stops answering, a clock that is
moved, Dagster's daemon and webserver killed. What the next run makes is compared with undisturbed
results.

All runs are those of the command line, or of Dagster's daemon, on a drawn catalogue of a few
listings on loopback. The full disk is a small tmpfs that is enlarged for the next run, and takes
root; the clock is moved by libfaketime where that is installed.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import zip_longest
from pathlib import Path

import yaml
from dagster import DagsterRunStatus

from benchmarks.drawn_shop import DrawnShop, Ended, end, labels, open_shop, start
from benchmarks.figures import Figure, Options
from benchmarks.trials import Record, Trials
from clustering_pipeline.orchestration.runtime.instance import add_category, open_instance
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.synthetic import write_catalogue
from clustering_pipeline_tests.cli.shops import open_shop as open_gated_shop
from clustering_pipeline_tests.docker.processes import Web, free_port, process, wait_for

CATEGORY = "serum"
SEED = 23
MEBIBYTE = 1 << 20
# Shares of what a whole run takes on the disk at which the disk is full: that of the storage alone,
# and that of the home with Dagster's own databases.
_STORAGE_FULL_AT = (0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.97)
_HOME_FULL_AT = (0.1, 0.5, 0.97)
# Pictures that are answered before the shop falls silent, of six.
_CUT_AFTER = (0, 2, 4)
LIBFAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
# Days by which the clock is off in a run; the last one is moved while the run is under way.
_CLOCKS = (("a year back", "-366d", None), ("a year on", "+366d", None), ("back while it runs", "+40d", "-40d"))  # fmt: skip
_DAEMON_KILLS = 4

Trial = tuple[str, partial[Record]]
_IMPATIENT = (
    "download.idle_seconds=2", "download.deadline_seconds=5", "download.retries=1",
    "download.breaker_patience_seconds=5",
)  # fmt: skip


def run(options: Options) -> list[Figure]:
    """Try every fault, one of each kind in turn, and compare what the next run makes."""
    trials = Trials("faults", options)
    with open_shop(options.scratch) as shop:
        whole = trials.take("undisturbed", lambda: _undisturbed(options.scratch / "whole", shop))
        if whole is None:
            return []
        planned = _planned(options.scratch, shop, whole)
        ran: dict[str, list[Record | None]] = {kind: [] for kind in planned}
        turns = list(zip_longest(*planned.values()))
        for turn in turns[:1] if options.quick else turns:
            for kind, trial in zip(planned, turn, strict=True):
                ran[kind] += [trials.take(*trial)] if trial else []
    return [
        *(figure for kind in planned for figure in figures(kind, len(planned[kind]), ran[kind])),
        Figure("commits of the trials", len(trials.commits.split(", ")), note=trials.commits),
    ]


def _planned(scratch: Path, shop: DrawnShop, whole: Record) -> dict[str, list[Trial]]:
    """Return the trials of each kind; none of a kind that this machine cannot try."""
    disks = [
        (f"disk of the {part} {share}", partial(_full_disk, scratch, shop, whole, part, share))
        for part, shares in (("storage", _STORAGE_FULL_AT), ("home", _HOME_FULL_AT))
        for share in shares
        if os.geteuid() == 0 and shutil.which("mount")
    ]
    cuts = [(f"cut after {count}", partial(_cut, scratch, whole, count)) for count in _CUT_AFTER]
    clocks = [
        (f"clock {name}", partial(_moved_clock, scratch, shop, whole, name, *offsets))
        for name, *offsets in _CLOCKS
        if LIBFAKETIME.exists()
    ]
    kills = [
        (f"daemon {number}", partial(_killed_daemon, scratch, whole, number))
        for number in range(_DAEMON_KILLS)
    ]
    return {
        "a full disk": disks,
        "a shop that falls silent": cuts,
        "a moved clock": clocks,
        "daemon and webserver killed": kills,
    }


def figures(kind: str, planned: int, trials: Sequence[Record | None]) -> list[Figure]:
    """Return what the trials of one kind of fault that ran show, of those that are planned."""
    ran = [trial for trial in trials if trial is not None]
    if not ran:
        return [Figure(f"{kind}: trials", 0, note="not tried on this machine or in this time")]
    hung = [trial["name"] for trial in ran if trial["hung"]]
    failed = [f"{trial['name']}: {trial['next']}" for trial in ran if trial["next"]]
    different = [trial["name"] for trial in ran if not trial["next"] and not trial["equal"]]
    wordless = [
        f"{trial['name']}: exit code {trial['code']}, a traceback among its words or none of its own"
        for trial in ran
        if trial["wordless"]
    ]
    stages = ", ".join(dict.fromkeys(trial["stage"] for trial in ran if trial["stage"]))
    return [
        Figure(f"{kind}: trials", len(ran), "", planned, note=stages),
        Figure(f"{kind}: runs that hung", len(hung), "", 0, "at most", note="; ".join(hung)),
        Figure(f"{kind}: runs that ended without words for a person", len(wordless), "", 0, "at most", note="; ".join(wordless)),
        Figure(f"{kind}: next runs that did not end well", len(failed), "", 0, "at most", note="; ".join(failed)),
        Figure(f"{kind}: results unlike those of undisturbed runs", len(different), "", 0, "at most", note="; ".join(different)),
    ]  # fmt: skip


def _record(
    name: str, first: Ended, second: Ended, output: Path, whole: Record, stage: str = ""
) -> Record:
    """Return what became of a run with a fault and of the one after it."""
    last = first.messages.strip()[-400:]
    return {
        "name": name,
        "stage": stage,
        "hung": first.code == -signal.SIGKILL,
        "wordless": first.code not in (0, 2, 3) or "Traceback" in first.messages,
        "said": last,
        "code": first.code,
        "next": "" if second.code == 0 else second.messages.strip()[-400:],
        "equal": labels(output) == whole["labels"],
    }


def _run(
    home: Path, shop: DrawnShop, output: Path, *more: str, environment: dict[str, str] | None = None
) -> Ended:
    started = time.monotonic()
    command = shop.command(CATEGORY, output, *more)
    return end(start(home, command, environment or {}), started)


def _undisturbed(folder: Path, shop: DrawnShop) -> Record:
    folder.mkdir()
    ended, output = _run(folder / "home", shop, folder / "out.xlsx"), folder / "out.xlsx"
    if ended.code != 0:
        raise RuntimeError(f"the undisturbed run failed: {ended.messages}")
    return {
        "labels": labels(output),
        "storage": _bytes(folder / "home" / "storage"),
        "home": _bytes(folder / "home"),
        "seconds": ended.seconds,
    }


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


@contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _full_disk(scratch: Path, shop: DrawnShop, whole: Record, part: str, share: float) -> Record:
    """Run on a disk that holds a share of what its part needs, then on a large one."""
    folder = scratch / f"disk-{part}-{share}"
    folder.mkdir()
    home, disk = folder / "home", folder / "disk"
    with _small_disk(disk, int(whole[part] * share)):
        if part == "storage":
            home.mkdir()
            home.joinpath("settings.yaml").write_text(f"storage:\n  root: {disk / 'storage'}\n")
        else:
            home = disk / "home"
        first = _run(home, shop, disk / "out.xlsx")
        stage = _last_stage(disk)
        subprocess.run(["mount", "-o", f"remount,size={64 * MEBIBYTE}", disk], check=True)
        second = _run(home, shop, disk / "out.xlsx")
        name = f"{part} full at {share:.0%}"
        told = f"{name} {stage}" + ("" if first.code else " (nothing was lacking)")
        return _record(name, first, second, disk / "out.xlsx", whole, told)


def _last_stage(folder: Path) -> str:
    """Return the last stage whose manifest is there."""
    manifests = sorted(
        folder.rglob(f"manifests/*/{CATEGORY}*"), key=lambda path: path.stat().st_mtime
    )
    return f"after {manifests[-1].parent.name}" if manifests else "before any result"


def _moved_clock(
    scratch: Path, shop: DrawnShop, whole: Record, name: str, offset: str, later: str | None
) -> Record:
    """Run with a clock that is off, then with the right one."""
    folder = scratch / f"clock{offset}"
    folder.mkdir()
    clock = folder / "clock"
    environment = moved_clock(clock, offset)
    output, started = folder / "out.xlsx", time.monotonic()
    running = start(folder / "home", shop.command(CATEGORY, output), environment)
    if later is not None:
        time.sleep(whole["seconds"] / 2)
        clock.write_text(later)
    first = end(running, started)
    second = _run(folder / "home", shop, output)
    return _record(name, first, second, output, whole, name)


def moved_clock(clock: Path, offset: str) -> dict[str, str]:
    """Return an environment in which the calendar is off by what the file `clock` says, at first
    `offset`; time that passes is as it is.

    libfaketime fails every sleep until a moment of a clock that it leaves alone, as `time.sleep`
    does since Python 3.11: waiting for nothing takes its place in the processes.
    """
    clock.write_text(offset)
    start_up = clock.with_name("start-up")
    start_up.mkdir()
    start_up.joinpath("sitecustomize.py").write_text(
        "import select, time\n\n"
        "def sleep(seconds):\n    select.select([], [], [], seconds)\n\n"
        "time.sleep = sleep\n"
    )
    paths = [str(start_up), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "LD_PRELOAD": str(LIBFAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": os.pathsep.join(paths),
    }


def _cut(scratch: Path, whole: Record, answers: int) -> Record:
    """Run while the shop answers some requests and then none, and again when it answers."""
    folder = scratch / f"cut-{answers}"
    images = folder / "shop" / "images"
    images.mkdir(parents=True)
    with open_gated_shop(images, limit=answers) as gated:
        catalogue = write_catalogue(
            images.parent, gated.url, products=2, listings_per_product=(3, 3), problems=()
        )
        shop, output = DrawnShop(catalogue.workbook, gated.host), folder / "out.xlsx"
        settings = [part for one in _IMPATIENT for part in ("--set", one)]
        first = _run(folder / "home", shop, output, *settings)
        gated.gate.set()
        second = _run(folder / "home", shop, output)
    stage = f"after {answers} answers"
    return _record(stage, first, second, output, whole, stage)


def _killed_daemon(scratch: Path, whole: Record, number: int) -> Record:
    """Let Dagster's daemon label a workbook, kill it and the webserver with all that they started
    while a run is under way, start both again, and then run from the command line.
    """
    folder, chance = scratch / f"daemon-{number}", random.Random(f"{SEED}-{number}")
    folder.mkdir()
    moment = chance.uniform(0, whole["seconds"])
    with open_shop(folder) as drawn:
        dagster = _Dagster(folder, drawn)
        with dagster.running() as processes:
            wait_for("the first run", dagster.is_under_way)
            time.sleep(moment)
            for one in processes:
                for victim in [*_descendants(one.pid), one.pid]:
                    with suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
        was_done = dagster.is_done()
        try:
            with dagster.running():
                wait_for("the end of all runs", dagster.is_done)
            hung = False
        except AssertionError:
            hung = True
        second = _run(dagster.home, dagster.shop, folder / "out.xlsx")
    record = _record(f"after {moment:.0f} s", second, second, folder / "out.xlsx", whole)
    return {**record, "hung": hung, "stage": f"{moment:.0f} s" + (" (was done)" * was_done)}


class _Dagster:
    """A home whose daemon labels a recorded workbook by itself."""

    def __init__(self, folder: Path, drawn: DrawnShop) -> None:
        self._folder = folder
        self._project = Project(PipelineHome(folder / "home").prepare())
        self.home = self._project.home.path
        workbook = self.home / f"{CATEGORY}.xlsx"
        shutil.copy(drawn.workbook, workbook)
        self.shop = DrawnShop(workbook, drawn.host)
        self._project.home.settings_file.write_text(
            yaml.safe_dump(
                {
                    "automation": {"sync": True},
                    "download": {"allow_hosts": [drawn.host]},
                    "matches": {"text": False},
                    "compute": {"workers": 1},
                }
            )
        )
        self._project.sources.record(workbook)
        with open_instance(self._project.home) as instance:
            add_category(instance, CATEGORY)

    @contextmanager
    def running(self) -> Iterator[list["subprocess.Popen[bytes]"]]:
        """Run daemon and webserver while the block does."""
        tools, module = Path(sys.executable).parent, ["-m", "clustering_pipeline.definitions"]
        environment = {**os.environ, "DAGSTER_HOME": str(self.home)}
        daemon = [str(tools / "dagster-daemon"), "run", *module]
        port = str(free_port())
        web = [str(tools / "dagster-webserver"), "-h", "127.0.0.1", "-p", port, *module]
        with (
            process(daemon, environment, self._folder / "daemon.log") as first,
            process(web, environment, self._folder / "webserver.log") as second,
        ):
            wait_for("the webserver", lambda: Web(int(port)).ask("{ version }"))
            yield [first, second]

    def is_under_way(self) -> bool:
        """Whether a run has started."""
        with open_instance(self._project.home) as instance:
            return any(run.status == DagsterRunStatus.STARTED for run in instance.get_runs())

    def is_done(self) -> bool:
        """Whether the workbook is labelled and no run is left."""
        with open_instance(self._project.home) as instance:
            idle = all(run.is_finished for run in instance.get_runs())
        return idle and self._project.manifests.read("labeled_excel", CATEGORY) is not None


def _descendants(process_id: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{process_id}/task").iterdir())
        children = [
            int(child) for thread in threads for child in (thread / "children").read_text().split()
        ]
    except FileNotFoundError:
        return []
    return [one for child in children for one in (*_descendants(child), child)]
