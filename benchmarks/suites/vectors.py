"""Planted vectors to candidates to groups, at 10,000 and 100,000 crops, with `--full` at a million:
processor time per crop and how it grows, memory, and the neighbours found beside comparing all.

The evidence of pairs is planted as well, so that what is measured is what a category's size alone
decides: the search for neighbours, friends of friends, and the communities. Each size runs in a
process of its own, with one thread.
"""

import json
import math
import os
import subprocess
import sys
from itertools import pairwise
from typing import Any

from benchmarks.figures import Figure, Options
from clustering_pipeline.core.engine import THREAD_VARIABLES

QUICK, USUAL, FULL = (2_000, 24_000), (10_000, 100_000), (10_000, 100_000, 1_000_000)
MOST_GIB, MOST_GROWTH = 8.0, 1.15


def run(options: Options) -> list[Figure]:
    """Measure each size, then how the time grows from one to the next."""
    sizes = QUICK if options.quick else FULL if options.full else USUAL
    answers = {size: _planted(size) for size in sizes}
    return [
        *(figure for size, answer in answers.items() for figure in _figures(size, answer)),
        *(_growth(small, large, answers) for small, large in pairwise(sizes)),
    ]


def _planted(size: int) -> dict[str, Any]:
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}
    command = [sys.executable, "-m", "benchmarks.planted_vectors", str(size)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result


def _seconds(answer: dict[str, Any]) -> float:
    return float(sum(answer["processor"].values()))


def _figures(size: int, answer: dict[str, Any]) -> list[Figure]:
    steps = ", ".join(
        f"{step} {seconds / size * 1e6:.0f} µs" for step, seconds in answer["processor"].items()
    )
    search = "all compared with all" if answer["exact"] else "in an inverted file"
    return [
        Figure(
            f"processor time per crop at {size:,}",
            _seconds(answer) / size * 1e6,
            "µs",
            note=f"{steps}; {answer['pairs'] / size:.1f} pairs per crop",
            details=answer["processor"],
        ),
        Figure(f"peak memory at {size:,}", answer["gib"], "GiB", MOST_GIB, "at most"),
        Figure(f"BCubed F1 at {size:,}", answer["bcubed"]),
        Figure(
            f"recall of the 15 nearest at {size:,}",
            answer["recall"],
            note=f"{search}; of those of the same product {answer['recall of own']:.4f}",
        ),
    ]


def _growth(small: int, large: int, answers: dict[int, dict[str, Any]]) -> Figure:
    ratio = _seconds(answers[large]) / _seconds(answers[small])
    return Figure(
        f"growth exponent from {small:,} to {large:,}",
        math.log(ratio) / math.log(large / small),
        "",
        MOST_GROWTH,
        "at most",
    )
