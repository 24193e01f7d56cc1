"""`doctor`: what this machine has, each lack with its remedy."""

from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.table import Table
from rich.text import Text

from clustering_pipeline.cli.examination import Finding, examine
from clustering_pipeline.cli.terminal import DebugOption, JsonOption, Terminal, terminal_of
from clustering_pipeline.workplace import PipelineHome

_SIGNS = {"ok": ("✓", "green"), "absent": ("–", "dim"), "problem": ("✗", "bold red")}


def doctor(context: typer.Context, json: JsonOption = False, debug: DebugOption = False) -> None:
    """Show what this machine has: Python, GPU, backends, models, keys (never their values), folders, disk; with remedies."""
    terminal = terminal_of(context)
    with terminal.errors.status("Looking at this machine …"):
        findings = list(examine(PipelineHome.find()))
    _show(terminal, findings)
    problems = sum(finding.state == "problem" for finding in findings)
    terminal.emit({"problems": problems, "findings": [asdict(finding) for finding in findings]})


def _show(terminal: Terminal, findings: Sequence[Finding]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    group = ""
    for finding in findings:
        if finding.group != group:
            group = finding.group
            table.add_row("", Text(group, style="bold"), "")
        sign, style = _SIGNS[finding.state]
        found = Text(finding.found)
        if finding.remedy:
            found.append(f"\n→ {finding.remedy}", style="yellow" if finding.state == "problem" else "dim")
        table.add_row(Text(sign, style=style), finding.name, found)
    terminal.output.print(table)
