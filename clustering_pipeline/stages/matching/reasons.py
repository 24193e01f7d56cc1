"""Which kinds of evidence decided a pair."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.evidence_model import Reals

# Kinds of evidence and how the names of their features begin; the first that fits counts.
KINDS = {
    "colours": (
        "colour",
        "palette",
        "aligned_hue",
        "aligned_tint",
        "aligned_chroma",
        "aligned_one_coloured",
    ),
    "alignment": ("aligned_", "map_"),
    "print": ("print", "overlap", "rules", "overlay", "shape"),
    "text": ("text", "lines"),
    "numbers": ("numbers",),
    "titles": ("title",),
    "copies": ("copies",),
    "look": ("encoder", "second"),
    "crowd": ("crowd",),
    "shop": ("shop",),
}
# Contributions below this decide nothing, and so many are told.
_LEAST, _MOST = 0.3, 4


def told_reasons(contributions: Mapping[str, Reals], chosen: NDArray[np.bool_]) -> list[str | None]:
    """Return what decided each pair, the strongest first: "text +2.1, colours -1.4"; None for pairs
    not chosen.
    """
    kinds = list(KINDS)
    sums = np.zeros((len(chosen), len(kinds)))
    for name, values in contributions.items():
        sums[:, kinds.index(kind_of(name))] += values
    rows = np.flatnonzero(chosen)
    order = np.argsort(-np.abs(sums[rows]), axis=1, kind="stable")[:, :_MOST]
    told: list[str | None] = [None] * len(chosen)
    for row, columns in zip(rows.tolist(), order.tolist(), strict=True):
        parts = [
            f"{kinds[column]} {sums[row, column]:+.1f}"
            for column in columns
            if abs(sums[row, column]) >= _LEAST
        ]
        told[row] = ", ".join(parts) or None
    return told


def kind_of(feature: str) -> str:
    """Return the kind of evidence of a feature."""
    return next(kind for kind, beginnings in KINDS.items() if feature.startswith(beginnings))
