"""Runs of the command line on a drawn catalogue of a few listings, which may be killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openpyxl

from clustering_pipeline.synthetic import serve_folder, write_catalogue

# No command takes longer than this, also where others leave it little of the processor.
SECONDS = 1800.0


@dataclass(frozen=True)
class DrawnShop:
    """A catalogue of two products, three listings each, and the host that shows its pictures."""

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
def open_shop(scratch: Path) -> Iterator[DrawnShop]:
    """Draw the catalogue below `scratch` and serve its pictures while the block runs."""
    images = scratch / "shop" / "images"
    images.mkdir(parents=True)
    with serve_folder(images) as server:
        catalogue = write_catalogue(
            images.parent, server.url, products=2, listings_per_product=(3, 3), problems=()
        )
        yield DrawnShop(catalogue.workbook, server.host)


@dataclass(frozen=True)
class Ended:
    """A command that is over: its exit status, what it said, and its seconds."""

    code: int
    messages: str
    seconds: float


def start(
    home: Path, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start `clustering-pipeline … --json` on a home, with more in its environment."""
    command = [sys.executable, "-c", "from clustering_pipeline.cli import main; main()"]
    return subprocess.Popen(
        [*command, *arguments, "--json"],
        env={**os.environ, "DAGSTER_HOME": str(home), **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str], started: float) -> Ended:
    """Wait for a command that was started at `started` of the monotonic clock."""
    try:
        _, messages = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        _, messages = process.communicate()
        return Ended(-signal.SIGKILL, f"still running after {SECONDS:.0f} s. {messages}", SECONDS)
    return Ended(process.returncode, messages, time.monotonic() - started)


def labels(workbook: Path) -> list[list[object]] | None:
    """Return what a labelled workbook says of every row, None when it is not there."""
    if not workbook.exists():
        return None
    header, *rows = openpyxl.load_workbook(workbook).worksheets[0].iter_rows(values_only=True)
    columns = [header.index(name) for name in ("product_base_id", "cluster_id", "status")]
    return [[row[column] for column in columns] for row in rows]
