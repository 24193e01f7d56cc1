"""`group()` on a frame of 60 pictures in a fresh process, beside `clustering-pipeline run` on the same files: seconds by the clock and of all processors."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figures import Figure, Options
from benchmarks.pipeline import clustering_pipeline, set_options
from clustering_pipeline.synthetic import write_catalogue

PICTURES = 60
ASKED_SECONDS = 15.0
SCRIPT = """
import pandas as pd
from clustering_pipeline import group
frame = pd.read_csv({table!r})
frame["path"] = {folder!r} + "/" + frame["url_thumbnail"]
result = group(frame.drop(columns="url_thumbnail"), **{settings!r})
print(len(result))
"""


def run(options: Options) -> list[Figure]:
    """Group the same pictures both ways, with the text on the packs and without."""
    table, folder = _drawn(options.scratch / "shop")
    variants = {"text read": True, "no text read": False}
    figures = []
    for name, reads in variants.items():
        settings = {} if reads else {"matches": {"text": False}}
        script = SCRIPT.format(table=str(table), folder=folder, settings=settings)
        # What is installed is compiled once, at its first use.
        bytecode = options.scratch / "bytecode"
        _timed(script, bytecode)
        seconds, effort = _timed(script, bytecode)
        home = options.scratch / f"home {name}"
        command = clustering_pipeline(
            home,
            "run",
            str(table),
            "--images-from",
            folder,
            *set_options([] if reads else ["matches.text=false"]),
        )
        note = (
            f"{effort:.1f} s of all processors; `run` {command.seconds:.1f} s, "
            f"{command.processor_seconds:.1f} s of all processors"
        )
        figures += [
            Figure(
                f"group() of {PICTURES} pictures, fresh process, {name}",
                seconds,
                "s",
                ASKED_SECONDS,
                "at most",
                note=note,
            ),
            Figure(
                f"the same beside `run`, {name}: processor time",
                effort / command.processor_seconds,
                "×",
            ),
        ]
    return figures


def _drawn(shop: Path) -> tuple[Path, str]:
    """Draw the pictures and return the table that names them and their folder."""
    catalogue = write_catalogue(shop, "http://127.0.0.1:1", products=16, seed=3, problems=())
    names = sorted(path.name for path in catalogue.images.iterdir())[:PICTURES]
    table = shop / "listings.csv"
    rows = [f"P{number:03d},{name}" for number, name in enumerate(names)]
    table.write_text("\n".join(["product_base_id,url_thumbnail", *rows]), encoding="utf-8")
    return table, str(catalogue.images)


def _timed(script: str, bytecode: Path) -> tuple[float, float]:
    """Return how long a fresh process takes for a script, by the clock and of all processors;
    `bytecode`: where compiled modules are kept, also where this environment keeps none.
    """
    environment = {
        **os.environ,
        "PYTHONPYCACHEPREFIX": str(bytecode),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    before, started = _used(), time.perf_counter()
    command = [sys.executable, "-c", script]
    subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return time.perf_counter() - started, _used() - before


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
