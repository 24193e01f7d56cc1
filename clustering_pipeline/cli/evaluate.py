"""`evaluate`: a labelled workbook against gold labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clustering_pipeline.cli.terminal import Terminal, terminal_of
from clustering_pipeline.core.errors import InputError

if TYPE_CHECKING:
    from clustering_pipeline.evaluation import Truth

SHOWN = 5


def evaluate(
    context: typer.Context,
    workbook: Annotated[
        Path, typer.Argument(metavar="WORKBOOK", help="A workbook that `run` wrote.")
    ],
    truth: Annotated[
        Path,
        typer.Option(
            metavar="LABELS.csv",
            help="Columns image,group (last path segment of the URL) or product_base_id,group.",
        ),
    ],
    matrix: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.svg",
            help="Draw the confusion matrix: a row per product, a column per cluster.",
        ),
    ] = None,
) -> None:
    """Score a labelled workbook against the truth; -1 and empty groups are each a group of their
    own.
    """
    from clustering_pipeline.evaluation import evaluate_workbook, read_truth

    terminal = terminal_of(context)
    labels = read_truth(truth)
    metrics = evaluate_workbook(workbook, labels)
    show_metrics(terminal, metrics)
    if labels.several:
        terminal.note(_ambiguous(labels))
    drawn = None if matrix is None else str(_draw(matrix, workbook, labels))
    terminal.emit(
        {
            "workbook": str(workbook.absolute()),
            "truth": str(truth.absolute()),
            "matrix": drawn,
            "metrics": metrics,
            "in_several_groups": {key: list(groups) for key, groups in labels.several.items()},
        }
    )


def _ambiguous(labels: "Truth") -> str:
    examples = [
        f"{key} ({', '.join(groups)})" for key, groups in list(labels.several.items())[:SHOWN]
    ]
    return (
        f"{len(labels.several):,} of the truth stand in several groups: {'; '.join(examples)}"
        f"{'; …' if len(labels.several) > SHOWN else ''}. The last group counts; give one each."
    )


def _draw(matrix: Path, workbook: Path, labels: "Truth") -> Path:
    from clustering_pipeline.evaluation import draw_confusion, labelled_rows

    rows = labelled_rows(workbook, labels)
    try:
        matrix.write_text(draw_confusion(rows.true, rows.predicted), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"The matrix {matrix} cannot be written ({error.strerror}). Give another --matrix."
        ) from error
    return matrix.absolute()


def show_metrics(terminal: Terminal, metrics: Mapping[str, float | int]) -> None:
    """Show precision, recall and F1 by pairs and by listings, then the other scores."""
    rows: list[tuple[str, object]] = []
    for name, title in (("bcubed", "BCubed"), ("pairwise", "pairwise")):
        precision, recall, f1 = (
            metrics[f"{name}_{part}"] for part in ("precision", "recall", "f1")
        )
        rows.append((title, f"F1 {f1:.4f}   precision {precision:.4f}   recall {recall:.4f}"))
    headline = {
        f"{name}_{part}"
        for name in ("bcubed", "pairwise")
        for part in ("precision", "recall", "f1")
    }
    for key, value in metrics.items():
        if key not in headline:
            rows.append(
                (
                    key.replace("_", " "),
                    f"{value:.4f}" if isinstance(value, float) else f"{value:,}",
                )
            )
    terminal.details("Against the truth", rows)
