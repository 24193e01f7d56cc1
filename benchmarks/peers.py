"""Other projects' packages, each in an environment of its own, so that they cannot change ours."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import SuiteUnavailableError

FOLDER_VARIABLE = "CLUSTERING_PIPELINE_PEERS"


@dataclass(frozen=True)
class PeerEnvironment:
    """A virtual environment with a peer's packages, made once and kept below a cache folder."""

    name: str
    packages: Sequence[str]
    python: str = sys.executable

    @property
    def folder(self) -> Path:
        """Where the environment is: below `CLUSTERING_PIPELINE_PEERS`, by default the user's
        cache.
        """
        default = Path.home() / ".cache" / "clustering-pipeline-peers"
        return Path(os.environ.get(FOLDER_VARIABLE) or default) / self.name

    @property
    def interpreter(self) -> Path:
        """The environment's Python."""
        return self.folder / "bin" / "python"

    def create(self) -> "PeerEnvironment":
        """Make the environment unless it is complete and return self; raises SuiteUnavailableError
        when that fails.
        """
        marker = self.folder / "complete"
        wanted = "\n".join(self.packages)
        if marker.exists() and marker.read_text() == wanted:
            return self
        for command in self._commands():
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            if answer.returncode != 0:
                last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
                raise SuiteUnavailableError(f"the peer {self.name} cannot be installed: {last}")
        marker.write_text(wanted)
        return self

    def _commands(self) -> list[list[str]]:
        uv = shutil.which("uv")
        if uv:
            return [
                [uv, "venv", "--clear", "--python", self.python, str(self.folder)],
                [uv, "pip", "install", "--python", str(self.interpreter), *self.packages],
            ]
        return [
            [self.python, "-m", "venv", "--clear", str(self.folder)],
            [str(self.interpreter), "-m", "pip", "install", "--quiet", *self.packages],
        ]

    def run(self, script: str | Path, *arguments: str, seconds: float = 3600) -> Any:
        """Run a script (a path, or source text) in the environment and return the JSON value of its
        last output line.

        Raises SuiteUnavailableError when it fails, with its last line of error.
        """
        source = [str(script)] if isinstance(script, Path) else ["-c", script]
        command = [str(self.interpreter), *source, *arguments]
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False
        )
        if answer.returncode != 0:
            last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
            raise SuiteUnavailableError(f"the peer {self.name} failed: {last}")
        return json.loads(answer.stdout.strip().splitlines()[-1])
