"""What real photos lose when they are grouped among drawn photographs of other products: brands
with near variants, framed by sellers.

The goal is stated for 20,000 of them, which `--full` draws as well; there no text is read, which
would take an hour on two cores.
"""

import csv
from pathlib import Path

import numpy as np

from benchmarks.drawn_pictures import draw_pictures
from benchmarks.figures import Figure, Options
from benchmarks.stages import Picture, PreparedSet
from clustering_pipeline.settings import ClusterSettings, MatchSettings

QUICK, USUAL, FULL = 300, 2_000, 20_000


def run(options: Options) -> list[Figure]:
    """Group storefront alone and among distractors; raises SuiteUnavailableError without the data
    set.
    """
    rounds = [(QUICK if options.quick else USUAL, True), *([(FULL, False)] if options.full else [])]
    folder = options.dataset("storefront")
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        real = [
            Picture(folder / "images" / row["image"], row["group"]) for row in csv.DictReader(file)
        ]
    return [
        figure
        for size, text in rounds
        for figure in _lost(real, size, options.scratch / f"{size}", text=text)
    ]


def _lost(real: list[Picture], size: int, scratch: Path, *, text: bool) -> list[Figure]:
    settings, read = MatchSettings(text=text), "text read" if text else "no text read"
    scratch.mkdir()
    alone = _bcubed(real, len(real), scratch / "alone", settings)
    among = _bcubed(
        [*real, *draw_pictures(scratch / "drawn", size)], len(real), scratch / "among", settings
    )
    return [
        Figure(f"storefront alone, {read}: BCubed F1", alone),
        Figure(f"storefront among {size:,} distractors, {read}: BCubed F1 of its listings", among),
        Figure(
            f"lost among {size:,} distractors, {read}",
            max(0.0, alone - among),
            "",
            0.03,
            "at most",
            note=f"asked for {FULL:,}",
        ),
    ]


def _bcubed(pictures: list[Picture], scored: int, scratch: Path, settings: MatchSettings) -> float:
    """Return the BCubed F1 of the first `scored` listings, in which all others count as what they
    are.
    """
    prepared = PreparedSet(pictures, scratch)
    clusters = prepared.group(prepared.match(settings), ClusterSettings())
    precisions, recalls = [], []
    for cluster, group in zip(clusters[:scored], prepared.truth[:scored], strict=True):
        in_cluster, in_group = clusters == cluster, prepared.truth == group
        common = np.count_nonzero(in_cluster & in_group)
        precisions.append(common / np.count_nonzero(in_cluster))
        recalls.append(common / np.count_nonzero(in_group))
    precision, recall = float(np.mean(precisions)), float(np.mean(recalls))
    return 2 * precision * recall / (precision + recall)
