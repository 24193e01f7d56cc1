"""Figures of this project, measured beside their peers: `python -m benchmarks SUITE …`.

A suite is a module `benchmarks/suites/<name>.py` with a docstring and `def run(options: Options) ->
list[Figure]`. Results go to `benchmarks/results/<name>.json` and `.md`, with the machine described;
peers run in environments of their own (`PeerEnvironment`).
"""

from benchmarks.figures import Figure, Options, SuiteUnavailableError
from benchmarks.measuring import Timings, interleave, time_once
from benchmarks.peers import PeerEnvironment

__all__ = [
    "Figure",
    "Options",
    "PeerEnvironment",
    "SuiteUnavailableError",
    "Timings",
    "interleave",
    "time_once",
]
