"""Scores of a grouping against the truth, the products that were put together as a picture, and how
far probabilities can be believed.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from clustering_pipeline.core.markup import Element, draw, element

Reals = NDArray[np.float64]
NOISE = frozenset({"", "-1", "-1.0", "nan", "none", "<na>"})


def score_clusters(
    labels_true: Sequence[Hashable], labels_predicted: Sequence[Hashable]
) -> dict[str, float]:
    """Return the agreement of two groupings of the same items; -1, empty and missing labels are a
    group of their own each.

    Pairwise and BCubed (Bagga and Baldwin 1998) precision, recall and F1, adjusted Rand index,
    normalised mutual information (arithmetic mean), homogeneity, completeness, V-measure,
    Fowlkes-Mallows index, and `mixed_share`: the share of predicted clusters of two or more items
    that hold items of several groups. All lie in 0 to 1, except ARI, whose least value is -0.5. A
    precision or recall over no pair at all is 1. Raises ValueError when the lengths differ.

    Example:
        >>> scores = score_clusters(["a", "a", "b", "b"], [1, 1, 1, 2])
        >>> round(scores["bcubed_precision"], 3), round(scores["bcubed_recall"], 3)
        (0.667, 0.75)
        >>> scores["mixed_share"]
        1.0
    """
    if len(labels_true) != len(labels_predicted):
        raise ValueError(
            f"{len(labels_true)} true labels against {len(labels_predicted)} predicted ones"
        )
    true, predicted = group_codes(labels_true), group_codes(labels_predicted)
    table = contingency(true, predicted)
    return {
        **_bcubed(table),
        **_pairwise(table),
        **_information(true, predicted),
        "mixed_share": _mixed_share(table),
    }


def group_codes(labels: Iterable[Hashable]) -> NDArray[np.int64]:
    """Return int64 codes of the groups; every noise label gets a code that no other item has."""
    texts = ["" if label is None else str(label).strip() for label in labels]
    names = [
        ("noise", index) if text.casefold() in NOISE else ("group", text)
        for index, text in enumerate(texts)
    ]
    codes: dict[tuple[str, object], int] = {}
    return np.array([codes.setdefault(name, len(codes)) for name in names], np.int64)


def contingency(true: NDArray[np.int64], predicted: NDArray[np.int64]) -> sparse.coo_matrix:
    """Return the int64 counts of items per (group, cluster) as a sparse matrix without repeated
    entries.
    """
    cells = pd.DataFrame({"true": true, "predicted": predicted}).value_counts(sort=False)
    rows, columns = (cells.index.get_level_values(level).to_numpy() for level in (0, 1))
    return sparse.coo_matrix((cells.to_numpy(np.int64), (rows, columns)))


def _sums(table: sparse.coo_matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.asarray(table.sum(axis=1)).ravel(), np.asarray(table.sum(axis=0)).ravel()


def _bcubed(table: sparse.coo_matrix) -> dict[str, float]:
    group_sizes, cluster_sizes = _sums(table)
    squares = table.data.astype(float) ** 2
    total = max(table.data.sum(), 1)
    precision = float((squares / cluster_sizes[table.col]).sum() / total)
    recall = float((squares / group_sizes[table.row]).sum() / total)
    return _precision_recall_f1("bcubed", precision, recall)


def _pairwise(table: sparse.coo_matrix) -> dict[str, float]:
    group_sizes, cluster_sizes = _sums(table)
    together = _pairs(table.data)
    precision = together / predicted if (predicted := _pairs(cluster_sizes)) else 1.0
    recall = together / true if (true := _pairs(group_sizes)) else 1.0
    return _precision_recall_f1("pairwise", precision, recall)


def _pairs(sizes: NDArray[np.int64]) -> float:
    return float((sizes.astype(float) * (sizes - 1) / 2).sum())


def _precision_recall_f1(name: str, precision: float, recall: float) -> dict[str, float]:
    both = precision + recall
    f1 = 2 * precision * recall / both if both else 0.0
    return {f"{name}_precision": precision, f"{name}_recall": recall, f"{name}_f1": f1}


def _information(true: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[str, float]:
    from sklearn import metrics

    homogeneity, completeness, v_measure = metrics.homogeneity_completeness_v_measure(
        true, predicted
    )
    return {
        "adjusted_rand_index": float(metrics.adjusted_rand_score(true, predicted)),
        "normalized_mutual_information": float(
            metrics.normalized_mutual_info_score(true, predicted)
        ),
        "homogeneity": float(homogeneity),
        "completeness": float(completeness),
        "v_measure": float(v_measure),
        "fowlkes_mallows": float(metrics.fowlkes_mallows_score(true, predicted)),
    }


def _mixed_share(table: sparse.coo_matrix) -> float:
    _, cluster_sizes = _sums(table)
    groups = np.bincount(table.col, minlength=len(cluster_sizes))
    several = cluster_sizes > 1
    return float((groups[several] > 1).mean()) if several.any() else 0.0


# Pixels of a cell of the confusion matrix, and of the names at its left.
CELL = 12
MARGIN = 110
# Products shown at most.
LARGEST = 60


def draw_confusion(labels_true: Sequence[Hashable], labels_predicted: Sequence[Hashable]) -> str:
    """Return an SVG of the confusion matrix: a row per product, a column per cluster, darker where
    more items meet.

    A product stands in the row in which its largest part is on the diagonal; a second cell in its
    row is a split, a second one in a column is a mixed cluster. Of more than `LARGEST` products
    those with the most errors are shown.
    """
    true, predicted = group_codes(labels_true), group_codes(labels_predicted)
    table = contingency(true, predicted).toarray()
    rows = _worst_rows(table)
    columns = _diagonal_order(table, rows)
    names = {code: str(label) for code, label in zip(true.tolist(), labels_true, strict=True)}
    shown = table[rows][:, columns]
    cells = [
        _cell(row, column, shown[row, column], int(shown.max()))
        for row, column in zip(*np.nonzero(shown), strict=True)
    ]
    titles = [_row_title(position, names[int(row)]) for position, row in enumerate(rows)]
    width, height = MARGIN + CELL * len(columns) + CELL, 2 * CELL + CELL * len(rows) + CELL
    shares = f"{len(rows)} of {len(table)} products × {len(columns)} of {table.shape[1]} clusters"
    return draw(width, height, [element("text", shares, x=4, y=14), *titles, *cells], font_size=9)


def _worst_rows(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows to show, those with the most items off their main cluster first, then the
    largest.
    """
    best = table.argmax(axis=1)
    split = table.sum(axis=1) - table.max(axis=1)
    mixed = table.sum(axis=0)[best] - table.max(axis=1)
    order = np.lexsort((np.arange(len(table)), -table.sum(axis=1), -(split + mixed)))
    return np.asarray(order[:LARGEST], np.int64)


def _diagonal_order(table: NDArray[np.int64], rows: NDArray[np.int64]) -> list[int]:
    """Return the columns that the rows touch, each row's main cluster at its own place in turn."""
    mains = table[rows].argmax(axis=1).tolist()
    others = np.flatnonzero(table[rows].sum(axis=0)).tolist()
    return list(dict.fromkeys([*mains, *others]))


def _cell(row: int, column: int, count: int, largest: int) -> Element:
    x, y = MARGIN + CELL * column, 2 * CELL + CELL * row
    fill = f"hsl(212 60% {90 - 65 * count / largest:.0f}%)"
    return element(
        "rect", element("title", str(count)), x=x, y=y, width=CELL - 1, height=CELL - 1, fill=fill
    )


def _row_title(position: int, name: str) -> Element:
    return element(
        "text", name[:20], x=MARGIN - 4, y=2 * CELL + CELL * position + 9, text_anchor="end"
    )


@dataclass(frozen=True)
class Reliability:
    """One entry per bin that holds anything: mean of what was `said` and of what was `true`
    (float64), and the bins' `weights`.
    """

    said: Reals
    true: Reals
    weights: Reals

    @property
    def error(self) -> float:
        """The expected calibration error: the mean of |said − true| over the bins by their weights
        (Naeini et al., AAAI 2015).
        """
        total = self.weights.sum()
        return (
            float((self.weights * np.abs(self.said - self.true)).sum() / total)
            if total > 0
            else 0.0
        )


def reliability(
    probabilities: Reals, truth: Reals, weights: Reals | None = None, bins: int = 10
) -> Reliability:
    """Return the curve over `bins` bins of equal width; `truth` is 0, 1 or a share between.

    Example:
        >>> curve = reliability(np.array([0.9, 0.92, 0.1]), np.array([1.0, 0.0, 0.0]))
        >>> curve.said.round(2).tolist(), curve.true.tolist()
        ([0.1, 0.91], [0.0, 0.5])
    """
    weights = np.ones(len(probabilities)) if weights is None else weights
    number = np.minimum((np.clip(probabilities, 0, 1) * bins).astype(np.int64), bins - 1)
    total = np.bincount(number, weights, minlength=bins).astype(np.float64)
    is_filled = total > 0
    sums = [
        np.bincount(number, weights * values, minlength=bins) for values in (probabilities, truth)
    ]
    return Reliability(
        sums[0][is_filled] / total[is_filled],
        sums[1][is_filled] / total[is_filled],
        total[is_filled],
    )


def brier_score(probabilities: Reals, truth: Reals, weights: Reals | None = None) -> float:
    """Return the weighted mean of (probability − truth)².

    Example:
        >>> round(brier_score(np.array([0.9, 0.6]), np.array([1.0, 0.0])), 3)
        0.185
    """
    return (
        float(np.average((probabilities - truth) ** 2, weights=weights))
        if len(probabilities)
        else 0.0
    )
