"""Grouping of real photos through the whole pipeline, from URLs to the written workbook, scored
against the truth.

Each set is run with the default settings, and with what else its name says: once with the text on
the packs and once without, with titles or without, and, as the truth of `sellers` has it, with all
sizes of a product as one. The evidence model was fitted to products of these sets: halves of which
a model saw nothing are in `evidence_model`. Besides all products the odd and the even half of them
are scored.
"""

from dataclasses import dataclass
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
from clustering_pipeline.synthetic import LoopbackShop, serve_folder


@dataclass(frozen=True)
class Variant:
    """One way to run a set.

    Attributes:
        title: what is said of it.
        settings: assignments that differ from the defaults.
        catalogue: the workbook in the folder of the set.
        bcubed, pairwise: least F1 asked, if any.
        mixed: greatest share of mixed clusters asked, if any.
        seconds: longest run asked, if any.
        again: whether it goes on in the home of the variant before, and is not timed.
    """

    title: str
    settings: tuple[str, ...] = ()
    catalogue: str = "catalogue.xlsx"
    bcubed: float | None = None
    pairwise: float | None = None
    mixed: float | None = None
    seconds: float | None = None
    again: bool = False


_UNREAD, _JOINED = ("matches.text=false",), ("matches.sizes=join",)
_UNTITLED = "catalogue_without_titles.xlsx"
SETS = {
    "storefront": (
        Variant("with text", bcubed=0.972, pairwise=0.95, mixed=0.03, seconds=90.0),
        Variant("without text", _UNREAD, bcubed=0.95),
    ),
    "cartons": (
        Variant("with text", bcubed=0.96, pairwise=0.95),
        Variant("without text", _UNREAD),
    ),
    "sellers": (
        Variant("without titles, sizes joined", _JOINED, _UNTITLED, 0.86, 0.70, 0.15),
        Variant("without titles", (), _UNTITLED, again=True),
        Variant("with titles, sizes joined", _JOINED, bcubed=0.88, pairwise=0.72, mixed=0.12),
        Variant("with titles", again=True),
    ),
}


def run(options: Options) -> list[Figure]:
    """Run and score each set; raises SuiteUnavailableError without the data sets."""
    names = ["storefront"] if options.quick else list(SETS)
    return [figure for name in names for figure in _score_set(options, name)]


def _score_set(options: Options, name: str) -> list[Figure]:
    dataset = options.dataset(name)
    figures: list[Figure] = []
    folder = options.scratch
    with serve_folder(dataset) as shop:
        for variant in SETS[name]:
            if not variant.again:
                folder = options.scratch / f"{name} {variant.title}"
                folder.mkdir()
            command = _grouped(dataset, shop, variant, folder)
            title = f"{name}, {variant.title}"
            workbook = Path(command.result["workbook"])
            figures += _figures(title, variant, workbook, dataset / "labels.csv")
            if not variant.again:
                limit, note = variant.seconds, _effort(command)
                figures.append(
                    Figure(f"{title}: whole run", command.seconds, "s", limit, "at most", note=note)
                )
    return figures


def _grouped(dataset: Path, shop: LoopbackShop, variant: Variant, folder: Path) -> Command:
    catalogue = folder / f"{dataset.name}.xlsx"
    if not variant.again:
        served_copy(dataset, shop, catalogue, catalogue=variant.catalogue)
    return clustering_pipeline(
        folder / "home",
        "run",
        str(catalogue),
        "--allow-host",
        shop.host,
        *set_options(variant.settings),
    )


def _figures(title: str, variant: Variant, workbook: Path, labels: Path) -> list[Figure]:
    scores = evaluate_workbook(workbook, read_truth(labels))
    figures = [
        Figure(
            f"{title}: BCubed F1",
            scores["bcubed_f1"],
            asked=variant.bcubed,
            details=dict(scores),
            note=_parts(scores, "bcubed"),
        ),
        Figure(
            f"{title}: pairwise F1",
            scores["pairwise_f1"],
            asked=variant.pairwise,
            note=_parts(scores, "pairwise"),
        ),
        Figure(
            f"{title}: share of mixed clusters",
            scores["mixed_share"],
            "",
            variant.mixed,
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
