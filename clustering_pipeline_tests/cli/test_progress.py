"""Progress bars on a terminal, and lines where there is none."""

import io
import re

import pytest
from rich.console import Console

from clustering_pipeline.cli import terminal
from clustering_pipeline.cli.terminal import TerminalProgress


def drawn(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def test_bars_show_count_pace_and_remaining_time():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with TerminalProgress(console) as bars, bars.track("fetching pictures", 40, "picture") as bar:
        for _ in range(20):
            bar.advance()
        bars._bars.refresh()
        assert "fetching pictures" in drawn(console)
        assert re.search(r"20/40 pictures .*/s, .* left", drawn(console))


def test_a_bar_ends_with_what_was_done_and_the_time_taken():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with TerminalProgress(console) as bars:
        with bars.track("reading", 5, "entry") as bar:
            bar.advance(4)
        bars._bars.refresh()
    assert re.search(r"4/4 entries \d", drawn(console))


def test_two_bars_at_once():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with (
        TerminalProgress(console) as bars,
        bars.track("one", 1, "pair") as first,
        bars.track("two", 2, "pair") as second,
    ):
        first.advance()
        second.advance(2)
    assert "1/1 pair" in drawn(console)
    assert "2/2 pairs" in drawn(console)


def test_without_a_terminal_only_slow_work_leaves_a_line(monkeypatch: pytest.MonkeyPatch):
    console = Console(file=io.StringIO(), force_terminal=False)
    with TerminalProgress(console) as bars:
        with bars.track("quick", 3, "picture") as bar:
            bar.advance(3)
        monkeypatch.setattr(terminal, "LEAST_SECONDS_TO_REPORT", 0.0)
        with bars.track("slow", 3, "picture") as bar:
            bar.advance(3)
    assert "quick" not in drawn(console)
    assert re.match(r"slow: 3 pictures in \d", drawn(console))
