"""Calls the command line in this process, as its entry point does."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clustering_pipeline.cli import main


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code, standard output, standard error."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.output)

    @property
    def error(self) -> str:
        """The paragraph of the error, in one line."""
        return " ".join(self.errors[self.errors.index("Error:") :].split())


Call = Callable[..., Answer]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home that does not exist yet."""
    path = tmp_path / "home"
    monkeypatch.setenv("DAGSTER_HOME", str(path))
    return path


@pytest.fixture
def call(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    def run_command(*arguments: object) -> Answer:
        monkeypatch.setattr("sys.argv", ["clustering-pipeline", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as request:
            code = request.code or 0
        captured = capfd.readouterr()
        return Answer(int(str(code)), captured.out, captured.err)

    return run_command
