"""Catalogues of a million rows: from addresses to judged pictures, with what a process holds and
how the time grows.

Pictures of 64 pixels, each another one, come from the memory of a server on loopback, so that what
is measured is the pipeline and not a network. Each size runs in a process of its own. A million is
run with `--full`; otherwise two smaller sizes say how time and memory grow.
"""

import json
import math
import subprocess
import sys
from typing import Any

from benchmarks.figures import Figure, Options
from benchmarks.suites.download import serve_pictures

MILLION = 1_000_000
QUICK, USUAL, FULL = (1_000, 2_000), (50_000, 200_000), (500_000, MILLION)


def run(options: Options) -> list[Figure]:
    """Measure a smaller and a larger catalogue."""
    small, large = QUICK if options.quick else FULL if options.full else USUAL
    with serve_pictures(1) as host:
        first, second = (_run(options, size, host) for size in (small, large))
    wall = sum(second["seconds"].values())
    used = [sum(answer["processor"].values()) for answer in (first, second)]
    growth = math.log(used[1] / used[0]) / math.log(large / small)
    hours = used[1] * (MILLION / large) ** max(growth, 1.0) / 3600
    memory = second["gib"] + (second["gib"] - first["gib"]) * (MILLION - large) / (large - small)
    steps = ", ".join(
        f"{name} {seconds / large * 1e3:.2f} ms" for name, seconds in second["processor"].items()
    )
    return [
        Figure(
            f"processor time for a row at {large:,}: fetched, cropped, hashed, judged, written",
            used[1] / large * 1e3,
            "ms",
            note=f"{steps}; {large / wall:,.0f} rows/s on a machine that others used as well",
            details=second["processor"],
        ),
        Figure(f"growth exponent of that from {small:,} to {large:,}", growth, "", 1.15, "at most"),
        Figure(
            f"peak memory of the largest process at {large:,}",
            second["gib"],
            "GiB",
            2.0,
            "at most",
            note=f"{first['gib']:.2f} GiB at {small:,}",
        ),
        Figure(
            f"peak memory of the largest process at {MILLION:,}, fitted",
            memory,
            "GiB",
            2.0,
            "at most",
            note="a straight line through both sizes" if large < MILLION else "measured",
        ),
        Figure(
            f"processor hours for {MILLION:,} rows" + ("" if large == MILLION else ", fitted"),
            hours,
            "h",
        ),
    ]


def _run(options: Options, size: int, host: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.million_rows"]
    answer = subprocess.run(
        [*command, str(options.scratch / str(size)), str(size), host],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    assert result["rows"] == size, result
    return result
