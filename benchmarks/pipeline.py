"""Runs of the real command line on a data set, as a user would run it."""

import csv
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl

from clustering_pipeline.synthetic import LoopbackShop


@dataclass(frozen=True)
class Command:
    """A finished command: its JSON object, its messages, and the seconds that it took by the clock
    and of all processors.
    """

    result: dict[str, Any]
    messages: str
    seconds: float
    processor_seconds: float


def clustering_pipeline(home: Path, *arguments: str, seconds: float = 3600) -> Command:
    """Run `clustering-pipeline … --json` on a home and return what it said; raises RuntimeError
    when it failed.
    """
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    command = [
        sys.executable,
        "-c",
        "from clustering_pipeline.cli import main; main()",
        *arguments,
        "--json",
    ]
    started, used = time.perf_counter(), _processor_seconds()
    answer = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=seconds, check=False
    )
    if answer.returncode != 0:
        raise RuntimeError(
            f"clustering-pipeline {' '.join(arguments)} ended with {answer.returncode}: "
            f"{answer.stderr[-2000:]}"
        )
    result = json.loads(answer.stdout)
    return Command(
        result, answer.stderr, time.perf_counter() - started, _processor_seconds() - used
    )


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def served_copy(
    dataset: Path, shop: LoopbackShop, target: Path, *, catalogue: str = "catalogue.xlsx"
) -> Path:
    """Write a catalogue of a data set with its URLs pointing to `shop`, and return its path."""
    book = openpyxl.load_workbook(dataset / catalogue)
    sheet = book.worksheets[0]
    column = next(cell.column for cell in sheet[1] if cell.value == "url_thumbnail")
    for row in range(2, sheet.max_row + 1):
        cell = sheet.cell(row, column)
        cell.value = f"{shop.url}/{str(cell.value).split('/', 3)[3]}"
    book.save(target)
    return target


def half_of_truth(truth: Path, target: Path, remainder: int) -> Path:
    """Write the labels whose group is odd (1) or even (0) in the order of the groups, and return
    the path.
    """
    with truth.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = {group: number for number, group in enumerate(sorted({row["group"] for row in rows}))}
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "group"])
        writer.writerows(
            (row["image"], row["group"]) for row in rows if numbers[row["group"]] % 2 == remainder
        )
    return target


def set_options(assignments: Sequence[str]) -> list[str]:
    """Return `--set` options of assignments."""
    return [part for assignment in assignments for part in ("--set", assignment)]
