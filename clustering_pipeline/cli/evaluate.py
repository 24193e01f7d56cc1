"""`evaluate`: a labelled workbook against gold labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from clustering_pipeline.cli.terminal import DebugOption, JsonOption, Terminal, terminal_of


def evaluate(
    context: typer.Context,
    workbook: Annotated[Path, typer.Argument(metavar="WORKBOOK", help="A workbook that `run` wrote.")],
    truth: Annotated[
        Path,
        typer.Option(metavar="LABELS.csv", help="Columns image,group (last path segment of the URL) or product_base_id,group."),
    ],
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Score a labelled workbook against the truth; -1 and empty groups are each a group of their own."""
    from clustering_pipeline.evaluation import evaluate_workbook, read_truth

    terminal = terminal_of(context)
    metrics = evaluate_workbook(workbook, read_truth(truth))
    show_metrics(terminal, metrics)
    terminal.emit({"workbook": str(workbook.absolute()), "truth": str(truth.absolute()), "metrics": metrics})


def show_metrics(terminal: Terminal, metrics: Mapping[str, float | int]) -> None:
    """Show precision, recall and F1 by pairs and by listings, then the other scores."""
    rows: list[tuple[str, object]] = []
    for name, title in (("bcubed", "BCubed"), ("pairwise", "pairwise")):
        precision, recall, f1 = (metrics[f"{name}_{part}"] for part in ("precision", "recall", "f1"))
        rows.append((title, f"F1 {f1:.4f}   precision {precision:.4f}   recall {recall:.4f}"))
    told = {f"{name}_{part}" for name in ("bcubed", "pairwise") for part in ("precision", "recall", "f1")}
    for key, value in metrics.items():
        if key not in told:
            rows.append((key.replace("_", " "), f"{value:.4f}" if isinstance(value, float) else f"{value:,}"))
    terminal.details("Against the truth", rows)
