"""Trials that take an hour together: what is finished is kept, so that a suite that was stopped or
had only some minutes goes on where it was.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from benchmarks.figures import Options
from benchmarks.machine import commit

Record = dict[str, Any]


class Trials:
    """The finished trials of a suite: a JSON object a line in a file of `options.kept`, or of the
    scratch folder where nothing is to be kept.
    """

    def __init__(self, name: str, options: Options) -> None:
        folder = options.kept or options.scratch
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name}.jsonl"
        self._ends = options.ends
        self._held: dict[str, Record] = {}
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                self._held[record["trial"]] = record

    def take(self, trial: str, measure: Callable[[], Record]) -> Record | None:
        """Return what is held of a trial, else what `measure` finds now, as JSON gives it back;
        None when it is not held and the time is over.
        """
        if trial not in self._held:
            if self._ends is not None and time.monotonic() >= self._ends:
                return None
            started = time.monotonic()
            found = measure()
            took = round(time.monotonic() - started, 1)
            line = json.dumps({"trial": trial, **found, "took": took, "commit": commit()})
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
            print(f"-- {trial}, {took:.0f} s", flush=True)
            self._held[trial] = json.loads(line)
        return self._held[trial]

    @property
    def commits(self) -> str:
        """The commits that the held trials ran at, for a note."""
        return ", ".join(sorted({record["commit"] for record in self._held.values()}))
