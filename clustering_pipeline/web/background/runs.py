"""The runs of a home that go on without whoever started them.

Each has a folder with what was asked, how far it is and what came of it. Its process holds the lock
of the folder as long as it lives, whoever else ends meanwhile.
"""

import fcntl
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.project import PipelineHome
from clustering_pipeline.project.project import HOME_VARIABLE
from clustering_pipeline.storage import hold, layout
from clustering_pipeline.web.background.reports import (
    Outcome,
    StageProgress,
    read_file,
    read_progress,
    replace_file,
)

WORKER = "clustering_pipeline.web.background.worker"
RUNS_KEPT = 60
# A run that was asked to end and has not after so many seconds is ended by force when asked again.
PATIENCE = 8.0
ASKED, PROGRESS, OUTCOME = "asked.json", "progress.json", "outcome.json"
LOCK, PROCESS, CANCEL, WAITING, LOG = "lock", "process", "cancel", "waiting", "log.txt"
RunKind = Literal["run", "apply"]
RunState = Literal["waiting", "running", "ending", "done", "failed", "cancelled"]
ENDED: tuple[RunState, ...] = ("done", "failed", "cancelled")
_NAME = re.compile(r"[0-9a-z-]{1,60}")


class RunningAlreadyError(InputError):
    """The category has a run under way; `run` is its name where it is one of these."""

    def __init__(self, message: str, run: str | None = None) -> None:
        super().__init__(message)
        self.run = run


@dataclass(frozen=True)
class Asked:
    """What a run was started for, by whom, and when in seconds since 1970."""

    category: str
    display_name: str
    kind: RunKind
    author: str
    time: float


@dataclass(frozen=True)
class BackgroundRun:
    """One run, seen at one moment."""

    folder: Path
    asked: Asked

    @property
    def name(self) -> str:
        """What the run is called in addresses."""
        return self.folder.name

    @cached_property
    def _ended(self) -> dict[str, Any] | None:
        return read_file(self.folder / OUTCOME)

    @cached_property
    def state(self) -> RunState:
        """How the run stands."""
        # In this order: one that ends between two looks has written what came of it.
        is_alive = self._is_alive()
        if self._ended is not None:
            state: RunState = self._ended["state"]
            return state
        if not is_alive:
            return "failed"
        if (self.folder / CANCEL).exists():
            return "ending"
        return "waiting" if (self.folder / WAITING).exists() else "running"

    @property
    def is_over(self) -> bool:
        """Whether the run has ended in any way."""
        return self.state in ENDED

    @property
    def message(self) -> str:
        """Why a run failed, "" for any other."""
        if self._ended is not None:
            return str(self._ended["message"])
        return (
            "The process of this run is gone without a word; the machine may have been short of "
            "memory, or was restarted. What was done is kept: start it again."
            if self.state == "failed"
            else ""
        )

    @property
    def outcome(self) -> Outcome | None:
        """What a finished run did."""
        if self.state != "done" or self._ended is None:
            return None
        return Outcome.from_json(self._ended["outcome"])

    @property
    def seconds(self) -> float:
        """How long it took, or takes so far."""
        end = self._ended["time"] if self._ended is not None else time.time()
        return max(0.0, float(end) - self.asked.time)

    @cached_property
    def stages(self) -> list[StageProgress]:
        """The stages that were made, are made and are known to come, in order."""
        return read_progress(self.folder / PROGRESS)

    def _is_alive(self) -> bool:
        with hold(self.folder / LOCK, shared=True, seconds=0) as is_free:
            return not is_free


class BackgroundRuns:
    """Starts, finds and ends the runs of one home."""

    def __init__(self, home: PipelineHome) -> None:
        self._home = home
        self._folder = home.state / layout.BACKGROUND
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, category: str, display_name: str, kind: RunKind, author: str) -> BackgroundRun:
        """Bring a category up to date in a process of its own; raises RunningAlreadyError."""
        with hold(self._folder / "starting.lock"):
            self.refuse_busy(category, display_name)
            self._forget_old()
            asked = Asked(category, display_name, kind, author, time.time())
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(asked.time))
            folder = self._folder / f"{stamp}-{secrets.token_hex(4)}"
            folder.mkdir()
            replace_file(folder / ASKED, asdict(asked))
            self._launch(folder)
            return BackgroundRun(folder, asked)

    def get(self, name: str) -> BackgroundRun:
        """Return a run by its name; raises InputError when there is none."""
        folder = self._folder / name
        asked = read_file(folder / ASKED) if _NAME.fullmatch(name) else None
        if asked is None:
            raise InputError("There is no such run here, or it was long ago and is forgotten.")
        return BackgroundRun(folder, Asked(**asked))

    def all(self) -> Iterator[BackgroundRun]:
        """Yield the runs that are remembered, the latest first."""
        for path in sorted(self._folder.glob(f"*/{ASKED}"), reverse=True):
            asked = read_file(path)
            if asked is not None:
                yield BackgroundRun(path.parent, Asked(**asked))

    def of(self, category: str) -> BackgroundRun | None:
        """Return the latest run of a category that is remembered."""
        return next((run for run in self.all() if run.asked.category == category), None)

    def cancel(self, name: str) -> None:
        """Ask a run to end; one that was asked some seconds ago and has not is ended by force."""
        run = self.get(name)
        mark, process = run.folder / CANCEL, run.folder / PROCESS
        if run.is_over:
            return
        is_late = mark.exists() and time.time() - mark.stat().st_mtime > PATIENCE
        if not mark.exists():
            mark.touch()
        # While the lock is held, the number is still that of the run's own process.
        if process.exists():
            os.kill(int(process.read_text()), signal.SIGKILL if is_late else signal.SIGINT)

    def refuse_busy(self, category: str, display_name: str) -> None:
        """Raise RunningAlreadyError where anybody works on a category."""
        latest = self.of(category)
        if latest is not None and not latest.is_over:
            raise RunningAlreadyError(f"{display_name} is being worked on already.", latest.name)
        with self._home.working_on(category, seconds=0) as is_free:
            if not is_free:
                raise RunningAlreadyError(
                    f"A command or a run of Dagster is working on {display_name} already. Wait "
                    f"until it has ended; nothing was started."
                )

    def _launch(self, folder: Path) -> None:
        self._started = [process for process in self._started if process.poll() is None]
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            environment = {
                **os.environ,
                HOME_VARIABLE: str(self._home.path),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            }
            with (folder / LOG).open("wb") as log:
                # In a session of its own: what ends the server, Ctrl-C included, does not end it.
                process = subprocess.Popen(
                    [sys.executable, "-m", WORKER, str(folder), str(lock)],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[lock],
                    start_new_session=True,
                )
            self._started.append(process)
        finally:
            os.close(lock)

    def _forget_old(self) -> None:
        old = [run for run in list(self.all())[RUNS_KEPT - 1 :] if run.is_over]
        for run in old:
            shutil.rmtree(run.folder)
