"""What the commands print: notes, tables, JSON, and progress bars with rate and remaining time."""

import io
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text

# Columns of a table that goes to a file or another program, where no window limits it.
UNLIMITED = 200

Details = Sequence[tuple[str, object]]
# What `uv run` sets for the programs that it starts.
_STARTED_BY_UV = "UV_RUN_RECURSION_DEPTH"


def as_typed(command: str) -> str:
    """Return a command of this program as it is typed here: behind `uv run` where that is how this
    one was started.
    """
    started = (
        "uv run clustering-pipeline" if _STARTED_BY_UV in os.environ else "clustering-pipeline"
    )
    return f"{started} {command}"


class Terminal:
    """Standard output and standard error of one command.

    With `--json` standard output carries one JSON object and nothing else: whatever any library
    prints there meanwhile goes to standard error.
    """

    def __init__(self) -> None:
        self.debug = False
        _replace_unknown_letters()
        self.errors = _console(sys.stderr)
        self.output = _console(sys.stdout)
        self._reserved: int | None = None
        self._stdout = sys.stdout

    @property
    def is_json(self) -> bool:
        """Whether the result is asked for as JSON."""
        return self._reserved is not None

    def reserve_output(self) -> None:
        """Keep standard output for `emit` alone."""
        sys.stdout.flush()
        self._reserved = os.dup(1)
        # Both ways to standard output: of this interpreter, and of libraries and processes below
        # it.
        os.dup2(2, 1)
        self._stdout, sys.stdout = sys.stdout, sys.stderr
        self.output = self.errors

    def release_output(self) -> None:
        """Give standard output back."""
        if self._reserved is not None:
            sys.stdout.flush()
            sys.stdout = self._stdout
            os.dup2(self._reserved, 1)
            os.close(self._reserved)
            self._reserved = None

    def emit(self, result: Mapping[str, Any]) -> None:
        """Write the JSON object of a command that was called with `--json`; nothing otherwise."""
        if self._reserved is not None:
            os.write(
                self._reserved,
                (json.dumps(result, ensure_ascii=False, indent=2, default=str) + "\n").encode(),
            )

    def note(self, text: str) -> None:
        """Say something about the work under way."""
        self.errors.print(Text(text), style="dim", soft_wrap=not self.errors.is_terminal)

    def fail(self, text: str) -> None:
        """Say in one paragraph what went wrong."""
        paragraph = Text.assemble(("Error: ", "bold red"), text)
        self.errors.print(paragraph, soft_wrap=not self.errors.is_terminal)

    def details(self, title: str, rows: Details) -> None:
        """Show names and values under a title; values are never shortened nor broken, so that paths
        can be copied.
        """
        width = max((len(name) for name, _ in rows), default=0)
        self.output.print(Text(title, style="bold"), soft_wrap=True)
        for name, value in rows:
            line = Text.assemble(
                (f"  {name:<{width}}  ", "dim"), value if isinstance(value, Text) else str(value)
            )
            self.output.print(line, soft_wrap=True)


def _replace_unknown_letters() -> None:
    """Let a stream in an encoding without some letters show a mark for each instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _console(stream: TextIO) -> Console:
    return Console(file=stream, highlight=False, width=None if stream.isatty() else UNLIMITED)


def terminal_of(context: typer.Context) -> Terminal:
    """Return the terminal that `main` made for this call, or one for a call without `main`."""
    terminal: Terminal = context.ensure_object(Terminal)
    return terminal


SHARED_OPTIONS = ("--json", "--debug")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"clustering-pipeline {version('clustering-pipeline')}")
        raise typer.Exit


def share_options(
    context: typer.Context,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, and Dagster's log.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and end."
        ),
    ] = False,
) -> None:
    """Set the terminal of the command up as the options that all commands share ask."""
    terminal = terminal_of(context)
    terminal.debug |= debug
    if json and not terminal.is_json:
        terminal.reserve_output()


LEAST_SECONDS_TO_REPORT = 1.0


class _CountColumn(ProgressColumn):
    """The count, as in "123/331 pictures"."""

    def render(self, task: Task) -> Text:
        return Text(
            f"{task.completed:,.0f}/{task.total or 0:,.0f} "
            f"{_plural(task.fields['unit'], task.total or 0)}"
        )


class _PaceColumn(ProgressColumn):
    """Rate and remaining time while it runs, the time taken once it is done."""

    def render(self, task: Task) -> Text:
        if task.finished:
            return Text(f"{task.finished_time or 0:.1f} s", style="green")
        speed = task.speed
        if not speed:
            return Text("…", style="dim")
        remaining = max((task.total or 0) - task.completed, 0) / speed
        return Text(f"{speed:,.1f}/s, {_duration(remaining)} left", style="cyan")


def _plural(unit: str, count: float) -> str:
    if count == 1:
        return unit
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class TerminalProgress:
    """Draws live bars on a terminal; where there is none, writes a line for each piece of work that
    took a second or more.
    """

    def __init__(self, console: Console) -> None:
        """`console`: where the bars go, usually standard error."""
        self.console = console
        self._bars = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            _CountColumn(),
            _PaceColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "TerminalProgress":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @contextmanager
    def track(self, description: str, total: int, unit: str) -> Iterator["TerminalBar"]:
        """Show a bar while the block runs and leave its total behind."""
        bar = TerminalBar(self._bars, self._bars.add_task(description, total=total, unit=unit))
        started = time.monotonic()
        yield bar
        self._bars.update(bar.task, total=bar.done or total, completed=bar.done or total)
        self._report(description, bar.done or total, unit, time.monotonic() - started)

    def _report(self, description: str, count: int, unit: str, seconds: float) -> None:
        if not self.console.is_terminal and seconds >= LEAST_SECONDS_TO_REPORT:
            pace = f"{count:,} {_plural(unit, count)} in {seconds:.1f} s, {count / seconds:,.1f}/s"
            self.console.print(f"{description}: {pace}", soft_wrap=True)


class TerminalBar:
    """The count of one bar."""

    def __init__(self, bars: Progress, task: TaskID) -> None:
        self.task = task
        self.done = 0
        self._bars = bars

    def advance(self, count: int = 1) -> None:
        """Report that `count` more items are done."""
        self.done += count
        self._bars.advance(self.task, count)
