"""Grouping of real photos through the whole pipeline, from URLs to the written workbook, scored
against the truth.

Each set is run on its own with the default settings, once with the text on the packs and once
without. Besides all products the odd and the even half of them are scored, because parameters may
have been chosen while looking at one half.
"""

from pathlib import Path

from benchmarks.figures import Figure, Options
from benchmarks.pipeline import (
    Command,
    clustering_pipeline,
    half_of_truth,
    served_copy,
    set_options,
)
from clustering_pipeline.evaluation import evaluate_workbook, read_truth
from clustering_pipeline.synthetic import serve_folder

# Least BCubed and pairwise F1 with text, and without it.
ASKED = {"storefront": ((0.97, 0.95), (0.95, None)), "cartons": ((0.95, 0.95), (None, None))}
VARIANTS = (("with text", ()), ("without text", ("matches.text=false",)))
ASKED_SECONDS = {"storefront": 90.0}
ASKED_MIXED = {"storefront, with text": 0.03}


def run(options: Options) -> list[Figure]:
    """Run and score each set; raises SuiteUnavailableError without the data sets."""
    names = ["storefront"] if options.quick else list(ASKED)
    return [figure for name in names for figure in _score_set(options, name)]


def _score_set(options: Options, name: str) -> list[Figure]:
    dataset = options.dataset(name)
    figures: list[Figure] = []
    with serve_folder(dataset) as shop:
        for (variant, assignments), asked in zip(VARIANTS, ASKED[name], strict=True):
            folder = options.scratch / f"{name} {variant}"
            folder.mkdir()
            catalogue = served_copy(dataset, shop, folder / f"{name}.xlsx")
            command = clustering_pipeline(
                folder / "home",
                "run",
                str(catalogue),
                "--allow-host",
                shop.host,
                *set_options(assignments),
            )
            figures += _figures(
                name, variant, Path(command.result["workbook"]), dataset / "labels.csv", asked
            )
            limit = ASKED_SECONDS.get(name) if variant == "with text" else None
            figures.append(
                Figure(
                    f"{name}, {variant}: whole run",
                    command.seconds,
                    "s",
                    limit,
                    "at most",
                    note=_effort(command),
                )
            )
    return figures


def _figures(
    name: str, variant: str, workbook: Path, labels: Path, asked: tuple[float | None, float | None]
) -> list[Figure]:
    scores = evaluate_workbook(workbook, read_truth(labels))
    title = f"{name}, {variant}"
    figures = [
        Figure(
            f"{title}: BCubed F1",
            scores["bcubed_f1"],
            asked=asked[0],
            details=dict(scores),
            note=_parts(scores, "bcubed"),
        ),
        Figure(
            f"{title}: pairwise F1",
            scores["pairwise_f1"],
            asked=asked[1],
            note=_parts(scores, "pairwise"),
        ),
        Figure(
            f"{title}: share of mixed clusters",
            scores["mixed_share"],
            "",
            ASKED_MIXED.get(title),
            "at most",
        ),
    ]
    for half, remainder in (("odd", 1), ("even", 0)):
        part = evaluate_workbook(
            workbook,
            read_truth(half_of_truth(labels, workbook.with_name(f"{half}.csv"), remainder)),
        )
        note = f"pairwise F1 {part['pairwise_f1']:.3f}, {part['rows_scored']} listings"
        figures.append(Figure(f"{title}, {half} products: BCubed F1", part["bcubed_f1"], note=note))
    return figures


def _effort(command: Command) -> str:
    return f"from URLs to workbook; {command.processor_seconds:.0f} s of one core"


def _parts(scores: dict[str, float | int], kind: str) -> str:
    return f"precision {scores[f'{kind}_precision']:.3f}, recall {scores[f'{kind}_recall']:.3f}"
