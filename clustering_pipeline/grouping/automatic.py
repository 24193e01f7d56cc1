"""Parameters that are left to the data, and what is drawn beside a grouping."""

import json
from collections.abc import Mapping

import numpy as np

from clustering_pipeline.errors import InputError
from clustering_pipeline.grouping.drawing import draw_curve, draw_scatter
from clustering_pipeline.grouping.methods import GROUPING_METHODS, evidence_of
from clustering_pipeline.grouping.problem import NOISE, GroupingProblem
from clustering_pipeline.grouping.projection import project
from clustering_pipeline.grouping.tuning import Choice, choose_eps, choose_k, sweep
from clustering_pipeline.settings import ClusterSettings

MOST_SWEPT = 60
DRAWN = ("silhouette", "davies_bouldin", "calinski_harabasz", "gap", "inertia", "clusters")


def choose_parameters(problem: GroupingProblem, settings: ClusterSettings) -> tuple[ClusterSettings, list[Choice]]:
    """Return the settings with every `auto` that the method uses replaced by a number, and how each was chosen."""
    choices = []
    if settings.method == "dbscan" and settings.eps == "auto":
        if evidence_of(settings) == "matches":
            raise InputError(
                "clusters.eps auto reads distances of embeddings. Set clusters.eps to a number to group by matches."
            )
        choices.append(choose_eps(problem, settings.min_samples, settings.block_rows))
    by_number = settings.method in ("kmeans", "spectral") or (settings.method == "agglomerative" and settings.device == "gpu")
    if by_number and settings.k == "auto":
        choices.append(choose_k(problem, settings.k_rule, settings.k_range))
    chosen = {choice.parameter: int(choice.value) if choice.parameter == "k" else choice.value for choice in choices}
    return settings.model_copy(update=chosen), choices


def choices_as_text(choices: list[Choice]) -> str:
    """Return choices as JSON."""
    return json.dumps([vars(choice) | {"x": choice.x.tolist(), "y": choice.y.tolist()} for choice in choices])


def drawn_choices(text: str) -> tuple[dict[str, float | str], dict[str, str]]:
    """Return, of choices as JSON, what to tell (value and reason per parameter) and the drawings (name to SVG)."""
    told: dict[str, float | str] = {}
    drawings = {}
    for choice in json.loads(text):
        name = choice["parameter"]
        told |= {name: choice["value"], f"{name}_reason": choice["reason"]}
        across, mark = ("crops", None) if name == "eps" else (name, choice["value"])
        drawings[f"{name}_curve"] = draw_curve(
            choice["x"],
            choice["y"],
            title=f"{name} = {choice['value']:g}: {choice['reason']}",
            across=across,
            up="",
            chosen=mark,
        )
    return told, drawings


def draw_sweep(problem: GroupingProblem, settings: ClusterSettings) -> dict[str, str]:
    """Return the drawings (name to SVG) of the quality indices over the range in `settings.sweep`.

    Raises InputError when that is not a number parameter and a range such as `eps=0.05:0.5:0.05`.
    """
    parameter, values = _parse_sweep(settings)

    def group(value: float) -> np.ndarray:
        tried = settings.model_copy(update={parameter: int(value) if _is_whole(parameter) else float(value)})
        return GROUPING_METHODS[settings.method](problem, choose_parameters(problem, tried)[0])

    table = sweep(problem.vectors, values.tolist(), group)
    title = f"{settings.method}, {parameter} {values[0]:g} to {values[-1]:g}"
    return {
        f"sweep_{name}": draw_curve(values, table[name].to_numpy(float), title=f"{title}: {name}", across=parameter, up=name)
        for name in DRAWN
    }


def _is_whole(parameter: str) -> bool:
    return parameter in ("k", "min_samples", "min_cluster_size", "trials")


def _parse_sweep(settings: ClusterSettings) -> tuple[str, np.ndarray]:
    parameter, _, span = str(settings.sweep).partition("=")
    parts = span.split(":")
    sweepable = {
        "eps", "k", "min_samples", "min_cluster_size", "distance", "threshold", "smallest_weight", "largest_weight", "elsewhere"
    }  # fmt: skip
    try:
        low, high, step = (float(part) for part in parts)
        values = np.arange(low, high + step / 2, step)
        if parameter not in sweepable or not 1 <= len(values) <= MOST_SWEPT:
            raise ValueError
        for value in (values[0], values[-1]):
            ClusterSettings.model_validate({parameter: int(value) if _is_whole(parameter) else float(value)})
    except (ValueError, ZeroDivisionError, MemoryError) as error:
        raise InputError(
            f"clusters.sweep {settings.sweep!r} is no range. Write a parameter and its least and greatest value and step, at most "
            f"{MOST_SWEPT} values, such as eps=0.05:0.5:0.05; the parameters are {', '.join(sorted(sweepable))}."
        ) from error
    return parameter, np.round(values, 10)


def draw_projection(problem: GroupingProblem, labels: np.ndarray, settings: ClusterSettings) -> Mapping[str, str]:
    """Return the drawing of all crops in two dimensions, coloured by cluster; unmatched ones are left out when dropped."""
    shown = np.flatnonzero(labels != NOISE) if settings.no_match == "drop" else np.arange(problem.size)
    nodes, points = project(problem.vectors[shown], settings.projection)
    title = f"{len(nodes)} of {problem.size} pictures, {settings.projection.upper()}"
    return {"projection": draw_scatter(points, labels[shown[nodes]], title=title)}
