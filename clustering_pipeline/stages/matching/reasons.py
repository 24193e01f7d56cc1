"""Which kinds of evidence decided a pair."""

from collections.abc import Mapping

import numpy as np

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
    "attributes": ("kind", "form", "traits"),
    "copies": ("copies",),
    "look": ("encoder", "second"),
    "crowd": ("crowd",),
    "shop": ("shop",),
    "partners": ("partners", "path", "lead"),
}
# Contributions below this decide nothing, and so many are told.
_LEAST, _MOST = 0.3, 4


def told_reasons(contributions: Mapping[str, Reals], size: int) -> list[str | None]:
    """Return what decided each of `size` pairs, the strongest first: "text +2.1, colours -1.4";
    None where nothing did.
    """
    kinds = list(KINDS)
    sums = np.zeros((size, len(kinds)))
    for name, values in contributions.items():
        sums[:, kinds.index(kind_of(name))] += values
    order = np.argsort(-np.abs(sums), axis=1, kind="stable")[:, :_MOST]
    return [
        ", ".join(
            f"{kinds[column]} {row[column]:+.1f}"
            for column in columns
            if abs(row[column]) >= _LEAST
        )
        or None
        for row, columns in zip(sums.tolist(), order.tolist(), strict=True)
    ]


def kind_of(feature: str) -> str:
    """Return the kind of evidence of a feature."""
    return next(kind for kind, beginnings in KINDS.items() if feature.startswith(beginnings))
