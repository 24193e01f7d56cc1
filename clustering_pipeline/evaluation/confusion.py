"""Which products were put together, as a picture."""

from collections.abc import Hashable, Sequence
from html import escape

import numpy as np

from clustering_pipeline.evaluation.scores import contingency, group_codes

CELL, MARGIN, LARGEST = 12, 110, 60


def draw_confusion(labels_true: Sequence[Hashable], labels_predicted: Sequence[Hashable]) -> str:
    """Return an SVG of the confusion matrix: a row per product, a column per cluster, darker where more items meet.

    A product stands in the row in which its largest part is on the diagonal; a second cell in its row is a split, a second one
    in a column is a mixed cluster. Of more than `LARGEST` products those with the most errors are shown.
    """
    true, predicted = group_codes(labels_true), group_codes(labels_predicted)
    table = contingency(true, predicted).toarray()
    rows = _worst_rows(table)
    columns = _diagonal_order(table, rows)
    names = {code: str(label) for code, label in zip(true.tolist(), labels_true, strict=True)}
    shown = table[rows][:, columns]
    cells = [_cell(row, column, shown[row, column], int(shown.max())) for row, column in zip(*np.nonzero(shown), strict=True)]
    titles = [_row_title(position, names[int(row)]) for position, row in enumerate(rows)]
    width, height = MARGIN + CELL * len(columns) + CELL, 2 * CELL + CELL * len(rows) + CELL
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="9">'
    heading = f'<text x="4" y="14">{len(rows)} of {len(table)} products × {len(columns)} of {table.shape[1]} clusters</text>'
    return "\n".join([opening, '<rect width="100%" height="100%" fill="white"/>', heading, *titles, *cells, "</svg>"])


def _worst_rows(table: np.ndarray) -> np.ndarray:
    """Return the rows to show, those with the most items off their main cluster first, then the largest."""
    best = table.argmax(axis=1)
    split = table.sum(axis=1) - table.max(axis=1)
    mixed = table.sum(axis=0)[best] - table.max(axis=1)
    return np.lexsort((np.arange(len(table)), -table.sum(axis=1), -(split + mixed)))[:LARGEST]


def _diagonal_order(table: np.ndarray, rows: np.ndarray) -> list[int]:
    """Return the columns that the rows touch, each row's main cluster at its own place in turn."""
    mains = table[rows].argmax(axis=1).tolist()
    others = np.flatnonzero(table[rows].sum(axis=0)).tolist()
    return list(dict.fromkeys([*mains, *others]))


def _cell(row: int, column: int, count: int, largest: int) -> str:
    x, y = MARGIN + CELL * column, 2 * CELL + CELL * row
    shade = 90 - 65 * count / largest
    return f'<rect x="{x}" y="{y}" width="{CELL - 1}" height="{CELL - 1}" fill="hsl(212 60% {shade:.0f}%)"><title>{count}</title></rect>'


def _row_title(position: int, name: str) -> str:
    return f'<text x="{MARGIN - 4}" y="{2 * CELL + CELL * position + 9}" text-anchor="end">{escape(name[:20])}</text>'
