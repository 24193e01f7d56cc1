"""Matches and clusters of 5,000 and 100,000 crops: cost per crop, memory, and what 5 % new listings
cost.

The collection is planted (`benchmarks.collection`), text is not read, and every step runs in a
process of its own so that its peak of memory is its own.
"""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Options

SMALL, LARGE, QUICK = 5_000, 100_000, (1_000, 5_000)
_NEW_SHARE = 0.05


def run(options: Options) -> list[Figure]:
    """Group a small and a large collection, then add listings to the small one."""
    small, large = QUICK if options.quick else (SMALL, LARGE)
    new = int(small * _NEW_SHARE)
    first, second = (_group(options.scratch, name, small) for name in ("small", "again"))
    more = _group(options.scratch, "small", small, new)
    much = _group(options.scratch, "large", large)
    cost = {
        size: answer["processor_seconds"] / size * 1e3
        for size, answer in ((small, first), (large, much))
    }
    return [
        Figure(
            f"cost per crop at {large:,} against {small:,}",
            cost[large] / cost[small],
            "×",
            2.0,
            "at most",
            note=f"{cost[small]:.2f} and {cost[large]:.2f} processor ms per crop of matches and "
            f"clusters, BCubed F1 {much['bcubed']:.3f}",
            details={"pairs per crop": much["candidates"] / large, "seconds": much["seconds"]},
        ),
        Figure(
            f"peak memory at {large:,}",
            much["gib"],
            "GiB",
            6.0,
            "at most",
            note="this process and its workers",
        ),
        Figure(
            f"time of {new} new listings at {small:,}",
            more["seconds"] / first["seconds"],
            "×",
            0.1,
            "at most",
            note=f"{more['seconds']:.1f} s against {first['seconds']:.1f} s",
        ),
        Figure(
            "numbers of untouched clusters that stay",
            _kept(first["numbers"], more["numbers"]),
            "",
            1.0,
        ),
        Figure(
            "equal clusters and numbers in shuffled order",
            float(first["numbers"] == second["numbers"]),
            "",
            1.0,
        ),
    ]


def _kept(before: dict[str, int], after: dict[str, int]) -> float:
    """Return the share of the clusters before that kept number and listings, of those that no new
    listing joined.
    """
    clusters = _clusters(before)
    joined = {after[listing] for listing in after.keys() - before.keys()}
    now = _clusters(after)
    untouched = [
        number
        for number, listings in clusters.items()
        if not {after[one] for one in listings} & joined
    ]
    return sum(now.get(number) == clusters[number] for number in untouched) / len(untouched)


def _clusters(numbers: dict[str, int]) -> dict[int, set[str]]:
    found = defaultdict(set)
    for listing, number in numbers.items():
        if number >= 0:
            found[number].add(listing)
    return dict(found)


def _group(scratch: Path, home: str, size: int, new: int = 0) -> dict[str, Any]:
    order = "shuffled" if home == "again" else "in order"
    for step in ("plant", "group"):
        command = [
            sys.executable,
            "-m",
            "benchmarks.planted_run",
            step,
            str(scratch / home),
            str(size),
            str(new),
            order,
        ]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result
