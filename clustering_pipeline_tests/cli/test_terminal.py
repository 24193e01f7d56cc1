"""Exit codes, standard output against standard error, and errors in one paragraph."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clustering_pipeline.cli import app
from clustering_pipeline.cli.terminal import as_typed, terminal_of
from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline_tests.cli.conftest import Call


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """Makes `evaluate` raise what a test wants it to raise."""

    def raise_instead(error: BaseException) -> None:
        def work(*_: object) -> None:
            os.write(1, b"a library says something")
            sys.stdout.write("and Python too")
            raise error

        monkeypatch.setattr("clustering_pipeline.evaluation.read_truth", work)

    return raise_instead


EVALUATE = ("evaluate", "a.xlsx", "--truth", "b.csv")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("Give another file."), 2),
        (StageError("The disk is full."), 3),
        (ValueError("odd"), 3),
    ],
)
def test_errors_are_one_paragraph_with_their_exit_code(
    call: Call, failing, error: Exception, code: int
):
    failing(error)
    answer = call(*EVALUATE)
    assert answer.code == code
    assert str(error) in answer.error
    assert "Traceback" not in answer.errors


def test_debug_adds_the_traceback(call: Call, failing):
    failing(ValueError("odd"))
    answer = call(*EVALUATE, "--debug")
    assert answer.code == 3
    assert "Traceback" in answer.errors


def test_shared_options_stand_before_the_command_or_after_it(call: Call, failing, tmp_path: Path):
    for place in (
        ("--json", "corrections", "export"),
        ("corrections", "--json", "export"),
        ("corrections", "export", "--json"),
    ):
        assert call(*place, tmp_path / "all.csv").json["written"] == 0
    failing(ValueError("odd"))
    assert "Traceback" in call("--debug", *EVALUATE).errors
    assert "No such option" in call(*EVALUATE, "--jsno").errors


def test_what_follows_two_dashes_is_no_option(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    answer = call("corrections", "import", "--", "--json")
    assert answer.code == 2
    assert "--json" in answer.error


def test_interruption_says_that_work_is_kept(call: Call, failing):
    failing(KeyboardInterrupt())
    answer = call(*EVALUATE)
    assert answer.code == 130
    assert "What was done is kept" in answer.error


def test_json_leaves_standard_output_alone_when_a_command_fails(call: Call, failing):
    failing(InputError("Give another file."))
    answer = call(*EVALUATE, "--json")
    assert answer.output == ""
    assert "a library says something" in answer.errors
    assert "and Python too" in answer.errors


@pytest.mark.parametrize(
    "arguments", [("run",), ("bogus",), ("run", "x.xlsx", "--bogus"), ("demo", "--products", "0")]
)
def test_wrong_usage_is_exit_code_two(call: Call, arguments: tuple[str, ...]):
    answer = call(*arguments)
    assert answer.code == 2
    assert answer.output == ""


def test_every_command_has_help(call: Call):
    listing = call("--help").output
    for name in ("demo", "run", "ui", "sync", "status", "evaluate", "corrections", "doctor"):
        assert re.search(rf"│ {name} ", listing)
        assert call(name, "--help").code == 0


def test_output_is_given_back_after_json(call: Call, tmp_path: Path):
    assert call("corrections", "export", tmp_path / "all.csv", "--json").json["written"] == 0
    assert call("--help").output


@pytest.mark.parametrize(
    "encoding",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
    ],
)
def test_letters_that_a_pipe_does_not_know_are_replaced(tmp_path: Path, encoding: dict[str, str]):
    file = tmp_path / "kem chống nắng.csv"
    file.write_text("kind,id_a,id_b\nsame,1,2\n")
    answer = subprocess.run(
        [
            sys.executable,
            "-c",
            "from clustering_pipeline.cli import main; main()",
            "corrections",
            "import",
            file,
        ],
        env={**os.environ, **encoding, "DAGSTER_HOME": str(tmp_path / "home")},
        capture_output=True,
    )
    assert (answer.returncode, b"UnicodeEncodeError" in answer.stderr) == (0, False)
    assert b"ch?" in answer.stdout and b"statements added" in answer.stdout


def test_terminal_of_a_context_is_made_once():
    import typer
    from typer.main import get_command

    context = typer.Context(get_command(app))
    assert terminal_of(context) is terminal_of(context)


def test_commands_are_told_as_they_are_typed_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
    assert as_typed("serve") == "clustering-pipeline serve"
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    assert as_typed("serve") == "uv run clustering-pipeline serve"
