"""Progress bars on the terminal: one per stage, with rate and remaining time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

LEAST_SECONDS_TO_REPORT = 1.0


class _CountColumn(ProgressColumn):
    """ "123/331 pictures"."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:,.0f}/{task.total or 0:,.0f} {_plural(task.fields['unit'], task.total or 0)}")


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
    """Draws live bars on a terminal; where there is none, writes a line for each piece of work that took a second or more."""

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
