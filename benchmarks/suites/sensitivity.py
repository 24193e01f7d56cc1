"""What 20 % more or less of any decisive parameter of matching and grouping costs, on real
photos.
"""

import csv
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np

from benchmarks.figures import Figure, Options
from benchmarks.stages import Picture, PreparedSet
from clustering_pipeline.settings import ClusterSettings, MatchSettings
from clustering_pipeline.stages.matching import weights

Grouped = Callable[[PreparedSet], np.ndarray]

ASKED = 0.02
CLUSTERS = ("smallest_weight", "largest_weight", "elsewhere", "contradiction")
MATCHES = ("neighbours", "friends", "text_neighbours", "plain_keypoints")
# Constants of the weights: each as it is called in `matching.weights`.
WEIGHTS = (
    "SMALLEST_WEIGHT",
    "LARGEST_WEIGHT",
    "_TEXT_ALONE",
    "_COSINE_ALONE",
    "_LINE_DIFFERS",
    "_NUMBERS_DIFFER",
    "_COPIES_DIFFER",
    "_NEIGHBOURS_DIFFER",
    "_LINES_CONTRADICT",
    "_NOTHING_CONTRADICTS",
)


def run(options: Options) -> list[Figure]:
    """Group storefront, with `--full` cartons too, with every parameter at 80 % and 120 %.

    Raises SuiteUnavailableError without the data sets.
    """
    names = ["storefront", "cartons"] if options.full else ["storefront"]
    return [figure for name in names for figure in _sweep(name, _prepared(options, name))]


def _prepared(options: Options, name: str) -> PreparedSet:
    folder = options.dataset(name)
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        pictures = [
            Picture(folder / "images" / row["image"], row["group"]) for row in csv.DictReader(file)
        ]
    return PreparedSet(pictures, options.scratch / name)


def _sweep(name: str, prepared: PreparedSet) -> Iterator[Figure]:
    matches = prepared.match(MatchSettings())
    usual = prepared.scores(prepared.group(matches, ClusterSettings()))["bcubed_f1"]
    yield Figure(f"{name}: BCubed F1", usual)
    for parameter in CLUSTERS:
        settings = [
            ClusterSettings(**{parameter: value})
            for value in _around(getattr(ClusterSettings(), parameter))
        ]
        yield _figure(
            name,
            f"clusters.{parameter}",
            usual,
            [prepared.scores(prepared.group(matches, one)) for one in settings],
        )
    for parameter in MATCHES:
        values = [round(value) for value in _around(getattr(MatchSettings(), parameter))]
        changed = [prepared.match(MatchSettings(**{parameter: value})) for value in values]
        scores = [prepared.scores(prepared.group(one, ClusterSettings())) for one in changed]
        yield _figure(name, f"matches.{parameter}", usual, scores)
    for constant in WEIGHTS:
        scores = []
        for value in _around(getattr(weights, constant)):
            with mock.patch.object(weights, constant, value):
                scores.append(
                    prepared.scores(
                        prepared.group(prepared.match(MatchSettings()), ClusterSettings())
                    )
                )
        yield _figure(name, constant.strip("_").lower().replace("_", " "), usual, scores)


def _around(value: float) -> tuple[float, float]:
    return 0.8 * value, 1.2 * value


def _figure(name: str, parameter: str, usual: float, scores: list[dict[str, float]]) -> Figure:
    less, more = (score["bcubed_f1"] for score in scores)
    note = f"BCubed F1 {less:.3f} with 20 % less, {more:.3f} with 20 % more"
    return Figure(
        f"{name}: {parameter} ± 20 % costs",
        max(0.0, usual - min(less, more)),
        "",
        ASKED,
        "at most",
        note=note,
    )
