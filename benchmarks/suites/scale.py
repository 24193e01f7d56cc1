"""Matches and clusters of 5,000 and 100,000 crops: cost per crop, memory, and what 5 % new listings cost.

The collection is planted (`benchmarks.collection`), text is not read, and every step runs in a process of its own so that its peak
of memory is its own.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Options

SMALL, LARGE, QUICK = 5_000, 100_000, (1_000, 5_000)
_NEW_SHARE = 0.05


def run(options: Options) -> list[Figure]:
    """Group a small and a large collection, then add listings to the small one."""
    small, large = QUICK if options.quick else (SMALL, LARGE)
    grown = small + int(small * _NEW_SHARE)
    first, second = (_group(options.scratch, name, small) for name in ("small", "again"))
    more = _group(options.scratch, "small", grown)
    much = _group(options.scratch, "large", large)
    cost = {size: answer["seconds"] / size * 1e3 for size, answer in ((small, first), (large, much))}
    return [
        Figure(
            f"cost per crop at {large:,} against {small:,}",
            cost[large] / cost[small],
            "×",
            2.0,
            "at most",
            note=f"{cost[small]:.2f} and {cost[large]:.2f} ms per crop of matches and clusters, BCubed F1 {much['bcubed']:.3f}",
            details={"pairs per crop": much["candidates"] / large},
        ),
        Figure(f"peak memory at {large:,}", much["gib"], "GiB", 6.0, "at most", note="this process and its workers"),
        Figure(
            f"time of {grown - small} new listings at {small:,}",
            more["seconds"] / first["seconds"],
            "×",
            0.1,
            "at most",
            note=f"{more['seconds']:.1f} s against {first['seconds']:.1f} s",
        ),
        Figure("numbers of untouched listings that stay", _kept(first, more, small), "", 1.0),
        Figure("equal clusters and numbers in shuffled order", float(first["numbers"] == second["numbers"]), "", 1.0),
    ]


def _kept(before: dict[str, Any], after: dict[str, Any], size: int) -> float:
    same = sum(left == right for left, right in zip(before["numbers"], after["numbers"][:size], strict=True))
    return same / size


def _group(scratch: Path, home: str, size: int) -> dict[str, Any]:
    order = "shuffled" if home == "again" else "in order"
    for step in ("plant", "group"):
        command = [sys.executable, "-m", "benchmarks.planted_run", step, str(scratch / home), str(size), order]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result
