"""What small tables and pictures that unfold to many times their size take: memory of `run` and of
`serve`, and whether others are answered meanwhile.

Everything is on loopback. The files are of `benchmarks.unfolding_files`, a few megabytes at most.
Memory is that of a command and all processes that it starts.
"""

import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path

import httpx
import openpyxl

from benchmarks.drawn_shop import DrawnShop, open_shop, start
from benchmarks.figures import Figure, Options
from benchmarks.memory import MemoryWatch
from benchmarks.pipeline import clustering_pipeline
from benchmarks.trials import Record, Trials
from benchmarks.unfolding_files import LARGEST, LARGEST_QUERY, PICTURES, TABLES
from clustering_pipeline.synthetic import serve_folder
from clustering_pipeline_tests.docker.processes import free_port, process, wait_for

SECONDS = 1500.0
# How often each picture is among the searches that come at once.
OF_EACH = 6
SECONDS_BETWEEN_PAGES = 0.3
RUN_GIGABYTES, SERVE_GIGABYTES = 2.0, 3.0


def run(options: Options) -> list[Figure]:
    """Run all pictures together, send everything to a server at once, then run each table."""
    trials = Trials("unfolding", options)
    names = list(TABLES)[:2] if options.quick else list(TABLES)
    size = (1500, 1200) if options.quick else LARGEST
    pictures = trials.take("run: pictures", partial(_run_pictures, options.scratch, size))
    with open_shop(options.scratch) as shop:
        served = trials.take("serve", partial(_serve, options.scratch, shop, names))
    tables = {
        name: trials.take(f"run: {name}", partial(_run_table, options.scratch, name))
        for name in names
    }
    return [
        *_of_runs({name: record for name, record in tables.items() if record}, len(names)),
        *(_of_pictures(pictures) if pictures else []),
        *(_of_server(served) if served else []),
        Figure("commits of the trials", len(trials.commits.split(", ")), note=trials.commits),
    ]


def _of_runs(tables: dict[str, Record], asked: int) -> list[Figure]:
    if not tables:
        return []
    peaks = {name: record["gigabytes"] for name, record in tables.items()}
    largest = max(peaks, key=lambda name: peaks[name])
    wordless = [name for name, record in tables.items() if record["code"] not in (0, 2, 3)]
    seconds = {name: record["seconds"] for name, record in tables.items()}
    slowest = max(seconds, key=lambda name: seconds[name])
    return [
        Figure("tables that unfold: runs", len(tables), "", asked),
        Figure("tables that unfold: most memory of a run", peaks[largest], "GB", RUN_GIGABYTES, "at most", tuple(peaks.values()), largest),
        Figure("tables that unfold: runs that ended without words", len(wordless), "", 0, "at most", note="; ".join(wordless)),
        Figure("tables that unfold: slowest run", seconds[slowest], "s", note=slowest),
    ]  # fmt: skip


def _of_pictures(pictures: Record) -> list[Figure]:
    title = f"{pictures['count']} pictures that unfold"
    return [
        Figure(f"{title}: memory of a run", pictures["gigabytes"], "GB", RUN_GIGABYTES, "at most"),
        Figure(f"{title}: seconds of it", pictures["seconds"], "s", note=f"exit code {pictures['code']}"),
    ]  # fmt: skip


def _of_server(served: Record) -> list[Figure]:
    sent = ", ".join(f"{count} × {status}" for status, count in sorted(served["sent"].items()))
    return [
        Figure("memory of serve, all of these uploaded and searched with", served["gigabytes"], "GB", SERVE_GIGABYTES, "at most"),
        Figure("answers to these uploads and searches", sum(served["sent"].values()), note=sent),
        Figure("others' pages meanwhile", served["pages"]),
        Figure("others' pages meanwhile: not answered", served["unanswered"], "", 0, "at most"),
        Figure("others' pages meanwhile: slowest", max(served["waits"], default=0.0), "s", runs=tuple(served["waits"])),
    ]  # fmt: skip


def _run_table(scratch: Path, name: str) -> Record:
    suffix, make = TABLES[name]
    path = scratch / f"table{suffix}"
    path.write_bytes(make())
    return _watched(scratch / name.replace(" ", "-"), path)


def _run_pictures(scratch: Path, size: tuple[int, int]) -> Record:
    """Run a workbook of all pictures, each in two files that differ."""
    folder = scratch / "hostile"
    folder.mkdir()
    book = openpyxl.Workbook()
    book.active.append(["product_base_id", "url_thumbnail"])
    with serve_folder(folder) as server:
        for number, make in enumerate(PICTURES.values()):
            for turn in range(2):
                name = f"{number}-{turn}"
                (folder / name).write_bytes(make((size[0], size[1] - turn)))
                book.active.append([name, f"{server.url}/{name}"])
        book.save(scratch / "hostile.xlsx")
        options = ["--allow-host", server.host, "--set", "download.least_share=0"]
        record = _watched(scratch / "pictures", scratch / "hostile.xlsx", *options)
    return {**record, "count": 2 * len(PICTURES)}


def _watched(home: Path, workbook: Path, *options: str) -> Record:
    started = time.monotonic()
    command = start(home, ["run", str(workbook), "--output", str(home) + ".xlsx", *options])
    with MemoryWatch(command.pid) as watch:
        try:
            _, said = command.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            command.kill()
            _, said = command.communicate()
    return {
        "code": command.returncode,
        "gigabytes": watch.gigabytes,
        "seconds": time.monotonic() - started,
        "said": " ".join(said.replace(str(home.parent), "").split())[-300:],
    }


def _serve(scratch: Path, shop: DrawnShop, names: Sequence[str]) -> Record:
    """Send everything to a server at once, while somebody else looks at pages."""
    home = scratch / "served"
    clustering_pipeline(home, *shop.command("serum", scratch / "served.xlsx"))
    with _serving(home) as (pid, url), httpx.Client(base_url=url, timeout=SECONDS) as client:
        slug = client.get("/api/categories").json()[0]["slug"]
        page = client.get(f"/c/{slug}/corrections").text
        secret = re.findall(r'name="secret" value="([^"]+)"', page)[0]
        jobs = [
            partial(_send, client, path, secret, f"a{TABLES[name][0]}", TABLES[name][1]())
            for name in names
            for path in ("/new", f"/c/{slug}/corrections")
        ]
        search = f"/api/categories/{slug}/search"
        contents = [make(LARGEST_QUERY) for make in PICTURES.values()]
        jobs += [partial(_search, client, search, one) for one in contents * OF_EACH]
        with (
            MemoryWatch(pid) as watch,
            _onlooker(url, slug) as seen,
            ThreadPoolExecutor(len(jobs)) as threads,
        ):
            sent = Counter(threads.map(_called, jobs))
        is_alive = client.get("/").status_code == 200
    return {
        "sent": {str(status): count for status, count in sent.items()},
        "gigabytes": watch.gigabytes,
        "pages": len(seen),
        "unanswered": sum(status != 200 for status, _ in seen) + (not is_alive),
        "waits": [round(seconds, 2) for _, seconds in seen],
    }


@contextmanager
def _serving(home: Path) -> Iterator[tuple[int, str]]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = "from clustering_pipeline.cli import main; main()"
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    arguments = [sys.executable, "-c", command, "serve", "--port", str(port)]
    with process(arguments, environment, home / "serve.log") as server:
        wait_for("the pages", lambda: urllib.request.urlopen(url, timeout=10).status == 200)
        yield server.pid, url


def _send(client: httpx.Client, path: str, secret: str, name: str, content: bytes) -> int:
    return client.post(path, data={"secret": secret}, files={"file": (name, content)}).status_code


def _search(client: httpx.Client, path: str, content: bytes) -> int:
    return client.post(path, files={"picture": content}).status_code


def _called(job: Callable[[], int]) -> int:
    return job()


@contextmanager
def _onlooker(url: str, slug: str) -> Iterator[list[tuple[int, float]]]:
    """Ask for pages one after the other while the block runs: gives status and seconds of each."""
    seen: list[tuple[int, float]] = []
    over = threading.Event()

    def look() -> None:
        with httpx.Client(base_url=url, timeout=SECONDS) as client:
            for path in cycle(("/", f"/c/{slug}", f"/c/{slug}/corrections", f"/c/{slug}/search")):
                if over.wait(SECONDS_BETWEEN_PAGES):
                    return
                started = time.monotonic()
                try:
                    status = client.get(path).status_code
                except httpx.HTTPError:
                    status = 0
                seen.append((status, time.monotonic() - started))

    thread = threading.Thread(target=look)
    thread.start()
    yield seen
    over.set()
    thread.join()
