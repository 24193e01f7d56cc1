"""What starting costs: importing the definitions beside importing Dagster alone, and running an
unchanged catalogue again.
"""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.figures import Figure, Options
from benchmarks.measuring import interleave, time_once
from benchmarks.pipeline import clustering_pipeline
from clustering_pipeline.synthetic import serve_folder, write_catalogue

HEAVY = ("torch", "torchvision", "transformers", "ultralytics", "cuml", "cupy", "ray")


def run(options: Options) -> list[Figure]:
    """Measure imports in fresh processes, then a first and a second run of a synthetic
    catalogue.
    """
    return [
        *_imports(3 if options.quick else 9, options.scratch / "bytecode"),
        *_second_run(options),
    ]


def _imports(rounds: int, bytecode: Path) -> list[Figure]:
    imports = {
        "dagster": partial(_python, "import dagster", bytecode),
        "definitions": partial(_python, "import clustering_pipeline.definitions", bytecode),
    }
    timings = interleave(imports, rounds)
    extra = tuple(
        ours - theirs
        for ours, theirs in zip(
            timings["definitions"].seconds, timings["dagster"].seconds, strict=True
        )
    )
    heavy = _python(
        f"import sys, clustering_pipeline.definitions; print(*(set({HEAVY!r}) & set(sys.modules)))",
        bytecode,
    ).split()
    median = timings["definitions"].median - timings["dagster"].median
    note = f"import dagster alone: {timings['dagster'].median:.2f} s"
    return [
        Figure(
            "importing the definitions beyond `import dagster`",
            median,
            "s",
            0.7,
            "at most",
            extra,
            note,
        ),
        Figure(
            "heavy modules imported with the definitions",
            len(heavy),
            "",
            0,
            "at most",
            note=", ".join(heavy),
        ),
    ]


def _python(code: str, bytecode: Path) -> str:
    # What is installed is compiled once, also where this environment writes no bytecode.
    environment = {
        **os.environ,
        "PYTHONPYCACHEPREFIX": str(bytecode),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    ).stdout


def _second_run(options: Options) -> list[Figure]:
    images = options.scratch / "shop" / "images"
    images.mkdir(parents=True)
    with serve_folder(images) as shop:
        catalogue = write_catalogue(images.parent, shop.url, products=8 if options.quick else 20)
        arguments = ("run", str(catalogue.workbook), "--allow-host", shop.host)
        first = time_once(lambda: clustering_pipeline(options.scratch / "home", *arguments))
        held = {
            f"/{path.name}"
            for path in Path(images).iterdir()
            if path.read_bytes()[:2] == b"\xff\xd8"
        }
        shop.requests.clear()
        commands = [clustering_pipeline(options.scratch / "home", *arguments) for _ in range(3)]
        seconds, used = (
            [one.seconds for one in commands],
            [one.processor_seconds for one in commands],
        )
        again = sum(count for path, count in shop.requests.items() if path in held)
    return [
        Figure("second run of an unchanged workbook", sorted(seconds)[1], "s", 3.0, "at most", tuple(seconds),
               f"{sorted(used)[1]:.1f} s of one core; the first run took {first:.1f} s"),
        Figure("requests of the second run for pictures already held", again, "", 0, "at most"),
    ]  # fmt: skip
