"""Fetching pictures: beside img2dataset and a bare aiohttp loop, after a kill, and at 200,000
listings.

All fetch from the same loopback server in a process of its own. Ours and img2dataset verify and
store what they fetch; the bare loop throws the bytes away and is the ceiling. A rate is that of the
call that fetches, without the interpreter's start and imports. img2dataset starts its worker
processes within that call; what it reports itself, from its first download to its last, stands
beside.
"""

import json
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Options
from benchmarks.peers import PeerEnvironment

BASE_PICTURES = 100
OURS = """
import json, resource, sys, time
from pathlib import Path
import pandas as pd
from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages import download
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import BlobStore, FeatureTables
folder, host, prefix, listings, distinct = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
urls = [[f"http://{host}/{prefix}{number % distinct}.jpg"] for number in range(listings)]
catalogue = pd.DataFrame({"listing": range(listings), "urls": urls, "usable": True})
context = StageContext(BlobStore(str(folder / "blobs")), FeatureTables(str(folder / "tables")), folder / "state")
start = time.perf_counter()
result = download.run(catalogue=catalogue, settings=DownloadSettings(allow_hosts=(host,)), context=context)
seconds = time.perf_counter() - start
print(json.dumps({
    "rate": distinct / seconds,
    "failed": result.facts["failed"],
    "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""
BARE = """
import asyncio, json, sys, time
import aiohttp
host, count = sys.argv[1], int(sys.argv[2])
async def main():
    numbers = iter(range(count))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=16)) as session:
        async def work():
            for number in numbers:
                async with session.get(f"http://{host}/{number}.jpg") as response:
                    await response.read()
        await asyncio.gather(*(work() for _ in range(16)))
start = time.perf_counter()
asyncio.run(main())
print(json.dumps({"rate": count / (time.perf_counter() - start)}))
"""
IMG2DATASET = """
import glob, json, sys, time
from img2dataset import download
if __name__ == "__main__":
    host, count, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with open(f"{folder}.txt", "w") as file:
        file.writelines(f"http://{host}/{number}.jpg\\n" for number in range(count))
    start = time.perf_counter()
    download(url_list=f"{folder}.txt", output_folder=folder, processes_count=2, thread_count=32, resize_mode="no",
             output_format="files", number_sample_per_shard=count // 4, enable_wandb=False)
    seconds = time.perf_counter() - start
    shards = [json.load(open(name)) for name in glob.glob(f"{folder}/*_stats.json")]
    busy = max(shard["end_time"] for shard in shards) - min(shard["start_time"] for shard in shards)
    fetched = sum(shard["successes"] for shard in shards)
    print(json.dumps({"rate": fetched / seconds, "rate without start": fetched / busy, "failed": count - fetched}))
"""


def run(options: Options) -> list[Figure]:
    """Measure throughput, what a kill costs, and a large catalogue."""
    return [*_throughput(options), _after_a_kill(options), *_large_catalogue(options)]


@contextmanager
def serve_pictures(pictures: int) -> Iterator[str]:
    """Serve pictures from memory in a process of its own; gives its host and port."""
    command = [sys.executable, "-m", "benchmarks.picture_server", str(pictures)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def _throughput(options: Options) -> list[Figure]:
    count, rounds = (200, 1) if options.quick else (2_000, 3)
    peer = PeerEnvironment("img2dataset", ["img2dataset==1.47.0", "setuptools<81"]).create()
    script = options.scratch / "fetch_with_img2dataset.py"
    script.write_text(IMG2DATASET)
    folders = (options.scratch / f"run-{number}" for number in range(10_000))
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "img2dataset": [], "bare": []}
    with serve_pictures(BASE_PICTURES) as host:
        for _ in range(rounds):
            runs["ours"].append(_fetch(next(folders), host, count, count))
            runs["img2dataset"].append(peer.run(script, host, str(count), str(next(folders))))
            runs["bare"].append(_python(BARE, host, str(count)))
    assert not any(run.get("failed") for results in runs.values() for run in results), runs
    return _throughput_figures(runs, count)


def _throughput_figures(runs: dict[str, list[dict[str, float]]], count: int) -> list[Figure]:
    rates = {name: tuple(run["rate"] for run in results) for name, results in runs.items()}
    without_start = tuple(run["rate without start"] for run in runs["img2dataset"])
    return [
        _median(f"{count:,} JPEGs fetched, verified, stored", rates["ours"], "pictures/s"),
        _median("img2dataset, 2 processes × 32 threads", rates["img2dataset"], "pictures/s"),
        _median("img2dataset by its own clock", without_start, "pictures/s"),
        _median("bare aiohttp loop, nothing verified or stored", rates["bare"], "pictures/s"),
        _median(
            "rate beside img2dataset's", _ratios(rates["ours"], rates["img2dataset"]), "×", 2.0
        ),
        _median(
            "rate beside img2dataset's by its own clock", _ratios(rates["ours"], without_start), "×"
        ),
    ]


def _ratios(ours: tuple[float, ...], theirs: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(our / their for our, their in zip(ours, theirs, strict=True))


def _median(name: str, runs: tuple[float, ...], unit: str, asked: float | None = None) -> Figure:
    return Figure(name, statistics.median(runs), unit, asked, runs=runs)


def _after_a_kill(options: Options) -> Figure:
    count = 400 if options.quick else 2_000
    folder = options.scratch / "killed"
    with serve_pictures(BASE_PICTURES) as host:
        arguments = [str(folder), host, "", str(count), str(count)]
        with subprocess.Popen([sys.executable, "-c", OURS, *arguments]) as process:
            while _asked(host)[0] < count // 2:
                time.sleep(0.005)
            process.kill()
        before = _asked(host)[0]
        _fetch(folder, host, count, count)
        extra = _asked(host)[0] - count
    return Figure(
        "requests repeated after kill -9",
        extra,
        "",
        16,
        "at most",
        note=f"killed after {before:,} of {count:,} requests",
    )


def _large_catalogue(options: Options) -> list[Figure]:
    listings, distinct = (8_000, 2_000) if options.quick else (200_000, 50_000)
    with serve_pictures(1) as host:
        result = _fetch(options.scratch / "large", host, listings, distinct, "small/")
        asked, different = _asked(host)
    name = f"{listings:,} listings, {distinct:,} distinct URLs"
    return [
        Figure(
            f"{name}: requests",
            asked,
            "",
            distinct,
            "at most",
            note=f"{different:,} different ones",
        ),
        Figure(
            f"{name}: peak memory",
            result["megabytes"],
            "MB",
            600.0,
            "at most",
            note=f"{result['rate']:.0f} pictures/s",
        ),
    ]


def _fetch(
    folder: Path, host: str, listings: int, distinct: int, prefix: str = ""
) -> dict[str, Any]:
    return _python(OURS, str(folder), host, prefix, str(listings), str(distinct))


def _python(source: str, *arguments: str) -> dict[str, Any]:
    finished = subprocess.run(
        [sys.executable, "-c", source, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    answer: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return answer


def _asked(host: str) -> tuple[int, int]:
    with urllib.request.urlopen(f"http://{host}/requests") as answer:
        total, different = json.load(answer)
    return total, different
