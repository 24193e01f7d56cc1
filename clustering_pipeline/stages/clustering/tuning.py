"""Parameters that are left to the data, and what is drawn beside them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.core.vectors import nearest_neighbours, principal_axes
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stages.clustering.algorithms import kmeans
from clustering_pipeline.stages.clustering.drawings import draw_curve, draw_scatter, project
from clustering_pipeline.stages.clustering.methods import CLUSTERING_METHODS
from clustering_pipeline.stages.clustering.percolation import component_growth, fit_null
from clustering_pipeline.stages.clustering.problem import NOISE, ClusteringProblem

Limit = Literal["eps", "threshold"]
AUTO = "auto"
# The cosine limits that can be left to the data, by the method that they are of.
LIMITS: Mapping[str, Limit] = {"dbscan": "eps", "components": "threshold"}
DRAWN_POINTS = 500
# Uniform data sets that the gap statistic is taken against.
REFERENCES = 5
SEED = 77
# Indices that compare all pairs are taken on so many crops at most.
SAMPLE = 2_000


@dataclass(frozen=True)
class Choice:
    """A parameter that was chosen: its value, why, and the curve (`x`, `y`, float64) on which it
    lies.
    """

    parameter: str
    value: float
    reason: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def knee(x: NDArray[np.float64], y: NDArray[np.float64]) -> int:
    """Return the index of the point furthest from the chord of a curve (float64, m), in units of
    its extent (Kneedle, 2011).

    Example:
        >>> knee(np.arange(5.0), np.array([0.0, 0.1, 0.2, 5.0, 10.0]))
        2
    """
    spans = [span if span > 0 else 1.0 for span in (float(np.ptp(x)), float(np.ptp(y)))]
    across, up = (x - x[0]) / spans[0], (y - y[0]) / spans[1]
    return int(np.argmax(np.abs(across * (up[-1] - up[0]) - up * (across[-1] - across[0]))))


def choose_limit(problem: ClusteringProblem, parameter: Limit, settings: ClusterSettings) -> Choice:
    """Return DBSCAN's `eps` or the `threshold` of components for "auto", or for "1/N".

    auto: the largest radius before one component takes in all others (see `percolation`); the curve
    is the share of the largest in percent. 1/N: the radius within which chance makes one link per N
    crops; the curve is what chance makes, in links per hundred crops. Both tell what chance makes
    at the radius.
    """
    wanted, null = getattr(settings, parameter), fit_null(problem.vectors)
    if wanted == AUTO:
        radius, why, x, y = _before_giant(problem, parameter, settings)
    else:
        radius, why = null.radius(1 / int(wanted.partition("/")[2])), "asked for"
        x = np.linspace(0, 2 * radius, 101, dtype=np.float64)
        y = np.array([100 * null.links_per_crop(one) for one in x.tolist()])
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), DRAWN_POINTS)).round().astype(int))
    is_radius = parameter == "eps"
    return Choice(
        parameter,
        round(radius if is_radius else 1 - radius, 6),
        f"{why}: there chance makes {_rate(null.links_per_crop(radius))}",
        (x if is_radius else 1 - x)[kept],
        y[kept],
    )


def _before_giant(
    problem: ClusteringProblem, parameter: Limit, settings: ClusterSettings
) -> tuple[float, str, NDArray[np.float64], NDArray[np.float64]]:
    """Return the radius before a giant component, why, and the curve of the largest component."""
    reach = (
        _core_distances(problem, settings.min_samples, settings.block_rows)
        if parameter == "eps"
        else np.zeros(problem.size)
    )
    growth = component_growth(problem.vectors, reach, settings.block_rows)
    radius, largest = growth.before_giant()
    why = (
        f"the largest radius before one component takes in all others, {largest} of "
        f"{problem.size} crops in the largest"
    )
    return radius, why, growth.radii, 100.0 * growth.largest / max(problem.size, 1)


def _rate(links_per_crop: float) -> str:
    if links_per_crop < 1e-6:
        return "no link"
    return f"one link per {1 / links_per_crop:,.3g} crops"


def _core_distances(
    problem: ClusteringProblem, min_samples: int, block_rows: int
) -> NDArray[np.float64]:
    """Return the least cosine distance (float64, n) within which a crop has `min_samples` listings,
    its own included.
    """
    wanted = max(min_samples - 1, 1)
    rows, columns, cosines = nearest_neighbours(problem.vectors, wanted, block_rows)
    if len(rows) == 0:
        return np.zeros(problem.size)
    width = len(rows) // problem.size
    near = (1 - cosines.astype(float)).reshape(problem.size, width)
    order = np.argsort(near, axis=1, kind="stable")
    ascending = np.take_along_axis(near, order, axis=1)
    listings = np.take_along_axis(
        problem.listings[columns].reshape(problem.size, width), order, axis=1
    )
    mass = problem.listings[:, None] + np.cumsum(listings, axis=1)
    enough = np.argmax(mass >= min_samples, axis=1)
    enough = np.where((mass >= min_samples).any(axis=1), enough, width - 1)
    reached = np.maximum(ascending[np.arange(problem.size), enough], 0)
    return np.where(problem.listings >= max(min_samples, 2), 0.0, reached)


def choose_k(problem: ClusteringProblem, rule: str, span: tuple[int, int]) -> Choice:
    """Return the number of clusters for k-means by `rule`: "elbow" of the inertia, greatest
    "silhouette", or "gap".

    `span` are the least and greatest number tried, at most 20 of them, evenly spaced on a
    logarithmic scale.
    """
    least, most = max(2, span[0]), max(2, min(span[1], problem.size - 1))
    tried = np.unique(np.round(np.geomspace(least, max(most, least), 20)).astype(int))
    if problem.size <= 3:
        return Choice(
            "k",
            float(min(2, problem.size)),
            "there are three crops or fewer",
            tried.astype(float),
            tried * 0.0,
        )
    runs = [kmeans(problem.vectors, int(k), weights=problem.listings) for k in tried]
    inertia = np.array([inertia for _, inertia in runs])
    if rule == "elbow":
        place, curve, why = knee(tried.astype(float), inertia), inertia, "the elbow of the inertia"
    elif rule == "silhouette":
        curve = np.array([silhouette(problem.vectors, labels) for labels, _ in runs])
        place, why = int(np.argmax(curve)), "the greatest silhouette"
    else:
        curve, errors = _gaps(problem, tried, inertia)
        place, why = (
            _first_gap(curve, errors),
            "the first gap that the next does not exceed by its standard error",
        )
    return Choice(
        "k",
        float(tried[place]),
        f"{why} among {tried[0]} to {tried[-1]}",
        tried.astype(float),
        curve,
    )


def _gaps(
    problem: ClusteringProblem, tried: NDArray[np.int64], inertia: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the gap statistic and its standard error per k (Tibshirani, Walther and Hastie 2001):
    uniform in the PCA's box.
    """
    random = np.random.default_rng(SEED)
    centre, axes = principal_axes(problem.vectors)
    placed = (problem.vectors - centre) @ axes.T
    low, high = placed.min(axis=0), placed.max(axis=0)
    logs = np.empty((REFERENCES, len(tried)))
    for row in logs:
        drawn = random.uniform(low, high, placed.shape) @ axes + centre
        drawn = (drawn / np.maximum(np.linalg.norm(drawn, axis=1, keepdims=True), 1e-12)).astype(
            np.float32
        )
        row[:] = [np.log(kmeans(drawn, int(k), weights=problem.listings)[1] + 1e-12) for k in tried]
    gap = logs.mean(axis=0) - np.log(inertia + 1e-12)
    return gap, logs.std(axis=0) * np.sqrt(1 + 1 / REFERENCES)


def _first_gap(gap: NDArray[np.float64], errors: NDArray[np.float64]) -> int:
    enough = np.flatnonzero(gap[:-1] >= gap[1:] - errors[1:])
    return int(enough[0]) if len(enough) else len(gap) - 1


def silhouette(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the mean silhouette (Rousseeuw 1987) by cosine distance of grouped nodes, on at most
    `SAMPLE`; NaN below 2 clusters.
    """
    from sklearn.metrics import silhouette_score

    grouped = np.flatnonzero(labels != NOISE)
    if len(grouped) > SAMPLE:
        grouped = np.sort(np.random.default_rng(SEED).choice(grouped, SAMPLE, replace=False))
    clusters = len(np.unique(labels[grouped]))
    if not 1 < clusters < len(grouped):
        return float("nan")
    return float(
        silhouette_score(vectors[grouped].astype(np.float64), labels[grouped], metric="cosine")
    )


def quality_indices(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    """Return silhouette, Davies-Bouldin, Calinski-Harabasz and inertia of the grouped nodes; NaN
    where they are not defined.

    They judge compact clusters in the embedding, not whether listings show one product: use gold
    labels where there are any.
    """
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

    grouped = labels != NOISE
    points, names = vectors[grouped].astype(np.float64), labels[grouped]
    indices = {
        "silhouette": silhouette(vectors, labels),
        "davies_bouldin": np.nan,
        "calinski_harabasz": np.nan,
    }
    if 1 < len(np.unique(names)) < len(names):
        indices["davies_bouldin"] = float(davies_bouldin_score(points, names))
        indices["calinski_harabasz"] = float(calinski_harabasz_score(points, names))
    return {**indices, "inertia": _inertia(points, names)}


def _inertia(points: NDArray[np.float64], names: NDArray[np.int64]) -> float:
    codes = np.unique(names, return_inverse=True)[1]
    if len(codes) == 0:
        return 0.0
    sums = np.zeros((codes.max() + 1, points.shape[1]))
    np.add.at(sums, codes, points)
    return float((points**2).sum() - ((sums**2).sum(axis=1) / np.bincount(codes)).sum())


def sweep(
    vectors: NDArray[np.float32],
    values: Sequence[float],
    group: Callable[[float], NDArray[np.int64]],
) -> pd.DataFrame:
    """Return a row per value of a parameter: `value`, `clusters`, `noise_share`, `gap` and the
    columns of `quality_indices`.

    `group` returns the labels (int64, n) for a value. `gap` is the log of the inertia of as many
    equal clusters of random members less that of the grouping: how much better it is than chance at
    its own sizes.
    """
    random, rows = np.random.default_rng(SEED), []
    for value in values:
        labels = group(value)
        indices = quality_indices(vectors, labels)
        grouped = labels != NOISE
        chance = _inertia(vectors[grouped].astype(np.float64), random.permutation(labels[grouped]))
        gap = float(np.log((chance + 1e-9) / (indices["inertia"] + 1e-9)))
        clusters = len(np.unique(labels[grouped]))
        rows.append(
            {
                "value": value,
                "clusters": clusters,
                "noise_share": float((~grouped).mean()),
                "gap": gap,
                **indices,
            }
        )
    return pd.DataFrame(rows)


DRAWN = ("silhouette", "davies_bouldin", "calinski_harabasz", "gap", "inertia", "clusters")


def choose_parameters(
    problem: ClusteringProblem, settings: ClusterSettings
) -> tuple[ClusterSettings, list[Choice]]:
    """Return the settings with every `auto` that the method uses replaced by a number, and how each
    was chosen.
    """
    choices = []
    for method, parameter in LIMITS.items():
        if settings.method == method and isinstance(getattr(settings, parameter), str):
            choices.append(choose_limit(problem, parameter, settings))
    by_number = settings.method in ("kmeans", "spectral") or (
        settings.method == "agglomerative" and settings.device == "gpu"
    )
    if by_number and settings.k == "auto":
        choices.append(choose_k(problem, settings.k_rule, settings.k_range))
    chosen = {
        choice.parameter: int(choice.value) if choice.parameter == "k" else choice.value
        for choice in choices
    }
    return settings.model_copy(update=chosen), choices


def choices_as_text(choices: list[Choice]) -> str:
    """Return choices as JSON."""
    return json.dumps(
        [vars(choice) | {"x": choice.x.tolist(), "y": choice.y.tolist()} for choice in choices]
    )


def drawn_choices(text: str) -> tuple[dict[str, float | str], dict[str, str]]:
    """Return, of choices as JSON, what to tell (value and reason per parameter) and the drawings
    (name to SVG).
    """
    facts: dict[str, float | str] = {}
    drawings = {}
    for choice in json.loads(text):
        name = choice["parameter"]
        facts |= {name: choice["value"], f"{name}_reason": choice["reason"]}
        across = {"eps": "cosine distance", "threshold": "cosine"}.get(name, name)
        drawings[f"{name}_curve"] = draw_curve(
            choice["x"],
            choice["y"],
            title=f"{name} = {choice['value']:g}: {choice['reason']}",
            across=across,
            up="%" if name in LIMITS.values() else "",
            chosen=choice["value"],
        )
    return facts, drawings


def draw_sweep(problem: ClusteringProblem, settings: ClusterSettings) -> dict[str, str]:
    """Return the drawings (name to SVG) of the quality indices over the range in
    `settings.sweep`.
    """
    parameter, low, high, step = settings.swept()
    values = np.round(np.arange(low, high + step / 2, step), 10)

    def group(value: float) -> NDArray[np.int64]:
        tried = settings.at_swept(value)
        return CLUSTERING_METHODS[settings.method](problem, choose_parameters(problem, tried)[0])

    table = sweep(problem.vectors, values.tolist(), group)
    title = f"{settings.method}, {parameter} {values[0]:g} to {values[-1]:g}"
    return {
        f"sweep_{name}": draw_curve(
            values, table[name].to_numpy(float), title=f"{title}: {name}", across=parameter, up=name
        )
        for name in DRAWN
    }


def draw_projection(
    problem: ClusteringProblem, labels: NDArray[np.int64], settings: ClusterSettings
) -> Mapping[str, str]:
    """Return the drawing of all crops in two dimensions, coloured by cluster; unmatched ones are
    left out when dropped.
    """
    shown = (
        np.flatnonzero(labels != NOISE) if settings.no_match == "drop" else np.arange(problem.size)
    )
    nodes, points = project(problem.vectors[shown], settings.projection)
    title = f"{len(nodes)} of {problem.size} pictures, {settings.projection.upper()}"
    return {"projection": draw_scatter(points, labels[shown[nodes]], title=title)}
