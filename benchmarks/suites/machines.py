"""Two machines on one storage and one PostgreSQL: numbers, answers and turns, also while the server
is restarted.

Each machine is a process with a home of its own. In ten rounds both walk over 40 categories, in
odd rounds in one order and in even ones each in its own. At each category a machine takes the
category's turn as a run does, opens the context of its stages, numbers a grouping that has grown by
a few listings and products, journals downloads, and records an answer and a cluster that was looked
at: the code of the stages and of the review pages, without pictures and without Dagster. Then the
same with the server restarted in between, and whole runs of the command line from both homes on the
same categories at once, and of one while the server is restarted.
"""

import json
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.drawn_shop import DrawnShop, Ended, end, labels, open_shop, start
from benchmarks.figures import Figure, Options, SuiteUnavailableError
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.stages.clustering import NumberRegister
from clustering_pipeline.storage import SharedDatabase, layout
from clustering_pipeline_tests.docker.processes import POSTGRES, empty_database, postgres

MACHINES = ("one", "two")
# Seconds that a run waits at most for a category: `storage.wait_seconds` of both homes.
LIMIT = 60.0
RESTARTS = 8
SECONDS_BETWEEN_RESTARTS = 8.0
# A look, the answer of the server and a busy processor come on top of the limit.
SLACK = 5.0


def run(options: Options) -> list[Figure]:
    """Walk, restart, run; return what was given twice, lost, or waited for too long."""
    if POSTGRES is None:
        raise SuiteUnavailableError("PostgreSQL is not installed (apt-get install postgresql)")
    categories, rounds = (6, 3) if options.quick else (40, 10)
    figures: list[Figure] = []
    with postgres(options.scratch / "server") as server:
        place = _Place(options.scratch / "walk", empty_database(server, "walk"))
        figures += _told(
            place, _walk(place, categories, rounds), f"{categories} categories, {rounds} rounds"
        )
    place = _Place(options.scratch / "restarts", "")
    with _restarting(options.scratch / "server", place):
        walked = _walk(place, categories, 2 if options.quick else rounds)
    with postgres(options.scratch / "server"):
        figures += _told(place, walked, f"with {place.restarts} restarts of the server")
        figures.append(Figure("restarts of the server while both walked", place.restarts, "", 1))
    return [*figures, *_whole_runs(options)]


class _Place:
    """Two homes on one root and one database."""

    def __init__(self, folder: Path, address: str) -> None:
        folder.mkdir()
        self.folder, self.address, self.restarts = folder, address, 0
        if address:
            self.make_homes()

    @property
    def is_begun(self) -> bool:
        """Whether somebody has claimed the storage."""
        return (self.folder / "root" / layout.OWNER).exists()

    def make_homes(self) -> None:
        for name in MACHINES:
            home = PipelineHome(self.folder / name).prepare()
            home.settings_file.write_text(
                f"storage:\n  root: {self.folder / 'root'}\n  database: {self.address}\n"
                f"  wait_seconds: {LIMIT}\n"
            )


def _walk(place: _Place, categories: int, rounds: int) -> list[dict[str, Any]]:
    """Return what each machine did, in order, and how long it waited for each turn."""
    arguments = [str(categories), str(rounds)]
    walking = [
        subprocess.Popen(
            [sys.executable, "-c", WALK, name, str(place.folder / name), *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in MACHINES
    ]
    said = [process.communicate()[0] for process in walking]
    if any(process.returncode for process in walking):
        raise RuntimeError("a machine ended early; what it said stands above")
    return [json.loads(line) for output in said for line in output.splitlines()]


# A machine that was interrupted says so and takes the step again, as the next `sync` would.
WALK = """
import json, random, sys, time, logging
from pathlib import Path
from clustering_pipeline.core.corrections import Correction, Different, ListingReference
from clustering_pipeline.core.errors import StageError
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.stages.clustering import NumberRegister
from clustering_pipeline.stages.download.answers import Validators
from clustering_pipeline.stages.download.journal import Journal, Picture
from clustering_pipeline.storage import layout

machine, home, categories, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
project = Project(PipelineHome(Path(home)))
log = logging.getLogger("walk")


def step(category, round_number, done):
    started = time.monotonic()
    with project.home.working_on(category) as is_mine:
        waited = time.monotonic() - started
        if not is_mine:
            return {"refused": project.home.worker_on(category), "waited": waited}
        context = project.context(category, log)
        register = NumberRegister(context.place(layout.CLUSTER_NUMBERS))
        grown = [set(members) for members in register.current(category).values()]
        for number, members in enumerate(grown):
            if number % 3 == round_number % 3:
                members.add(f"{sorted(members)[0]}+{machine}{round_number}")
        # A step that is taken again finds what the first try has committed.
        drawn = [f"{machine}-{round_number}-{new}" for new in range(2)]
        grown += [{one} for one in drawn if not any(one in members for members in grown)]
        numbers, _ = register.number(category, [frozenset(members) for members in grown])
        with Journal(context.place(layout.DOWNLOAD_JOURNAL)) as journal:
            picture = Picture("0" * 64, "PNG", 4, 4, 4)
            journal.keep(f"{category} {machine} {round_number}", picture, Validators(None, None))
        if not done.get("answered"):
            author = f"{machine} {round_number}"
            said = Different(ListingReference("a"), ListingReference("b"))
            done["answered"] = project.corrections.add([Correction(said, author, category)])
        project.home.confirm_turns()
        project.keepsakes.keep()
        return {"numbers": numbers, "waited": waited, "answers": done["answered"]}


for round_number in range(rounds):
    order = list(range(categories))
    random.Random(round_number if round_number % 2 else f"{machine} {round_number}").shuffle(order)
    for place in order:
        category, done, interrupted = f"category-{place:02}", {}, 0
        while True:
            try:
                found = step(category, round_number, done)
                break
            except StageError as error:
                interrupted += 1
                print(error, file=sys.stderr)
                time.sleep(0.2)
        print(json.dumps({"machine": machine, "category": category, "round": round_number,
                          "interrupted": interrupted, **found}), flush=True)
"""


def _told(place: _Place, steps: Sequence[dict[str, Any]], what: str) -> list[Figure]:
    """Compare what the machines were told with what the database holds."""
    database = SharedDatabase(place.address)
    waits = [step["waited"] for step in steps]
    given = [number for category in _categories(steps) for number in _twice(database, category)]
    project = Project(PipelineHome(place.folder / MACHINES[0]))
    held = Counter(
        (recorded.correction.author, recorded.correction.category)
        for recorded in project.corrections.history()
    )
    told = Counter(
        (f"{step['machine']} {step['round']}", step["category"])
        for step in steps
        if "answers" in step
    )
    lost = told - held
    doubled = sum(count - 1 for count in held.values())
    beyond = [step for step in steps if "refused" in step or step["waited"] > LIMIT + SLACK]
    contended = sum(wait > 0.1 for wait in waits)
    interrupted = sum(step["interrupted"] for step in steps)
    note = f"{len(steps)} steps, of which {contended} waited for the other machine; {interrupted} were interrupted and taken again"
    return [
        Figure(f"numbers given twice, {what}", len(given), "", 0, "at most", note=note),
        Figure(f"answers lost, {what}", sum(lost.values()), "", 0, "at most",
               note=f"of {sum(told.values())}; {doubled} are there twice, since the machine did not learn that they were kept"),
        Figure(f"steps blocked for longer than their limit, {what}", len(beyond), "", 0, "at most", note=f"the limit is {LIMIT:.0f} s"),
        Figure(f"longest wait for a category, {what}", max(waits), "s", LIMIT + SLACK, "at most"),
    ]  # fmt: skip


def _categories(steps: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({step["category"] for step in steps})


def _twice(database: SharedDatabase, category: str) -> Iterator[tuple[str, int]]:
    """Yield the numbers that stood for two products, and the products that had two numbers; a
    product is known by its first listing.
    """
    products, numbers = defaultdict[int, set[str]](set), defaultdict[str, set[int]](set)
    for number, members in NumberRegister(database).states(category):
        first = min(member.partition("+")[0] for member in members)
        products[number].add(first)
        numbers[first].add(number)
    yield from ((category, number) for number, found in products.items() if len(found) > 1)
    yield from (
        (category, number) for found in numbers.values() if len(found) > 1 for number in found
    )


@contextmanager
def _restarting(folder: Path, place: _Place) -> Iterator[None]:
    """Stop and start the server every few seconds while the block runs."""
    ended = threading.Event()
    is_ready = threading.Event()

    def restart() -> None:
        while not ended.is_set():
            with postgres(folder) as server:
                if not place.address:
                    place.address = empty_database(server, "restarts")
                    place.make_homes()
                    is_ready.set()
                while not place.is_begun and not ended.wait(0.1):
                    pass
                if place.restarts >= RESTARTS:
                    ended.wait()
                elif ended.wait(SECONDS_BETWEEN_RESTARTS):
                    return
            if ended.is_set():
                return
            place.restarts += 1

    worker = threading.Thread(target=restart)
    worker.start()
    is_ready.wait()
    try:
        yield
    finally:
        ended.set()
        worker.join()


def _whole_runs(options: Options) -> list[Figure]:
    """Label the same categories from both homes at once, by the command line, into one place; and
    one more while the server is restarted.
    """
    categories = ["serum"] if options.quick else ["serum", "toner", "mask", "cream"]
    with open_shop(options.scratch) as shop:
        with postgres(options.scratch / "server") as server:
            place = _Place(options.scratch / "runs", empty_database(server, "runs"))
            started = time.monotonic()
            races = [_race(place, shop, category) for category in categories]
            seconds = time.monotonic() - started
        interrupted = _restarted_run(options, shop)
    failed = [word for race in races for word in race.failures]
    differing = [
        category
        for category, race in zip(categories, races, strict=True)
        if not race.labels or race.labels != labels(place.folder / f"{category}.xlsx")
    ]
    told = f"{2 * len(categories)} runs, two at a time on one category, and each once more from the first machine, in {seconds:.0f} s"
    return [
        Figure("whole runs that did not end well", len(failed), "", 0, "at most", note="; ".join(failed) or told),
        Figure("categories that a further run of the first machine labelled otherwise", len(differing), "", 0, "at most", note=", ".join(differing)),
        *interrupted,
    ]  # fmt: skip


def _restarted_run(options: Options, shop: DrawnShop) -> list[Figure]:
    """Run one category while the server is restarted, and again when it stays."""
    place = _Place(options.scratch / "restarted", "")
    with _restarting(options.scratch / "server", place):
        first = _run_alone(place, shop, MACHINES[0], "serum")
    with postgres(options.scratch / "server"):
        second = _run_alone(place, shop, MACHINES[1], "serum")
    last = first.messages.strip()[-300:] if first.code else "it ended well"
    note = f"{place.restarts} restarts while it ran for {first.seconds:.0f} s: {last}"
    is_whole = second.code == 0 and bool(labels(place.folder / "serum.xlsx"))
    return [
        Figure("exit code of a whole run while the server was restarted", first.code, note=note),
        Figure("whole runs after it that did not end well", int(not is_whole), "", 0, "at most", note=second.messages.strip()[-300:] if second.code else ""),
    ]  # fmt: skip


@dataclass(frozen=True)
class _Race:
    """What became of a category that both machines ran at once: the last words of the runs that did
    not end well, and what the workbook said before the first machine ran it once more.
    """

    failures: list[str]
    labels: list[list[object]] | None


def _race(place: _Place, shop: DrawnShop, category: str) -> _Race:
    """Run a category from both homes at once, and then once more from the first.

    A run that waited for as long as it may is started again, as its message says.
    """
    output = place.folder / f"{category}.xlsx"
    runs = {
        name: (start(place.folder / name, shop.command(category, output)), time.monotonic())
        for name in MACHINES
    }
    failures = []
    for name, (process, started) in runs.items():
        ended = end(process, started)
        if ended.code == 3 and "is working on the category" in " ".join(ended.messages.split()):
            ended = _run_alone(place, shop, name, category)
        if ended.code != 0:
            failures.append(f"{name} {category}: {ended.messages.strip()[-300:]}")
    said = labels(output)
    again = _run_alone(place, shop, MACHINES[0], category)
    if again.code != 0:
        failures.append(f"{MACHINES[0]} {category} again: {again.messages.strip()[-300:]}")
    return _Race(failures, said)


def _run_alone(place: _Place, shop: DrawnShop, name: str, category: str) -> Ended:
    started = time.monotonic()
    output = place.folder / f"{category}.xlsx"
    return end(start(place.folder / name, shop.command(category, output)), started)
