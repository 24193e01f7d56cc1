"""Print that a shop lays over everything it lists: its frame, banner and stickers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from clustering_pipeline.core.graph import component_labels
from clustering_pipeline.core.text import plain_letters
from clustering_pipeline.stages.matching.kept_crops import KeptCrops
from clustering_pipeline.stages.matching.text_reader import TextLine

# An overlay sits at the same place of every picture; photographs of products hardly ever do.
_LARGEST_SHIFT = 0.015
# Pictures that agree in their middle as well are copies of one photograph rather than one frame
# around two products.
_CENTRE_AGREES = 0.25

# A line of an overlay stands on so many products at one place, given in such steps of the picture's
# width and height.
_FEWEST_PRODUCTS, _STEPS = 3, 40
# Pairs whose maps are held in memory at once.
_PAIR_BLOCK = 65_536

Place = tuple[str, int, int]


def without_overlays(
    products: KeptCrops,
    lines: Mapping[int, Sequence[TextLine]],
    pairs: NDArray[np.int64],
    raw: pd.DataFrame,
) -> dict[int, list[TextLine]]:
    """Return the lines on each pack less stickers and banners: those that stand at the same place
    of three pictures or more that are not copies of one photograph, as the evidence `raw` of
    `pairs` shows.
    """
    places = {
        row: [_place(products.places[row], line) for line in pack_lines]
        for row, pack_lines in lines.items()
    }
    overlays = _overlays(places, _copies(pairs, raw, len(products)))
    return {
        row: [
            line
            for line, place in zip(pack_lines, places[row], strict=True)
            if place not in overlays
        ]
        for row, pack_lines in lines.items()
    }


def under_templates(
    products: KeptCrops, lines: Mapping[int, Sequence[TextLine]]
) -> dict[int, list[TextLine]]:
    """Return the lines as read, those of crops under a template without the template's own and
    placed in the product's frame: what stands beside the pack lies outside of it.
    """
    return {
        row: _free(
            _in_frame(pack_lines, products, row), products.places[row], products.templates[row]
        )
        if row in products.templates
        else list(pack_lines)
        for row, pack_lines in lines.items()
    }


def _in_frame(lines: Sequence[TextLine], products: KeptCrops, row: int) -> list[TextLine]:
    """Return lines whose places are shares of the whole crop as shares of the product's frame."""
    left, top, right, bottom = products.boxes[row]
    x0, y0, x1, y1 = products.product_boxes[row]
    crop, corner, size = (
        np.array(one, np.float32)
        for one in ((right - left, bottom - top), (x0, y0), (x1 - x0, y1 - y0))
    )
    return [replace(line, quad=(line.quad * crop - corner) / size) for line in lines]


def _free(
    lines: Sequence[TextLine], place: tuple[float, ...], covered: NDArray[np.bool_]
) -> list[TextLine]:
    """Return the lines whose middle lies in no covered cell (bool, rows, columns) of the
    picture.
    """
    x0, y0, x1, y1 = place
    size = np.array([covered.shape[1], covered.shape[0]])
    kept = []
    for line in lines:
        middle = np.array([x0, y0]) + line.quad.mean(axis=0) * np.array([x1 - x0, y1 - y0])
        column, row = np.clip((middle * size).astype(np.int64), 0, size - 1)
        if not covered[row, column]:
            kept.append(line)
    return kept


def _overlays(places: Mapping[int, Sequence[Place]], copies: sparse.csr_matrix) -> set[Place]:
    standing = defaultdict(list)
    for row, pack_places in places.items():
        for place in set(pack_places):
            standing[place].append(row)
    return {
        place
        for place, rows in standing.items()
        if len(rows) >= _FEWEST_PRODUCTS and _parts(copies[rows][:, rows]) >= _FEWEST_PRODUCTS
    }


def _parts(copies: sparse.csr_matrix) -> int:
    return int(component_labels(copies.shape[0], *copies.nonzero()).max(initial=-1)) + 1


def _copies(pairs: NDArray[np.int64], raw: pd.DataFrame, count: int) -> sparse.csr_matrix:
    """Return which of `count` pictures agree in their middle: bool (count, count), one triangle."""
    alike = (raw["inliers"].to_numpy() > 0) & (
        raw["centre_agreement"].to_numpy(np.float64) >= _CENTRE_AGREES
    )
    left, right = pairs[alike].T
    return sparse.coo_matrix(
        (np.ones(len(left), bool), (left, right)), shape=(count, count)
    ).tocsr()


def _place(product: tuple[float, ...], line: TextLine) -> Place:
    x0, y0, x1, y1 = product
    across, down = line.quad.mean(axis=0)
    return (
        plain_letters(line.text),
        round((x0 + across * (x1 - x0)) * _STEPS),
        round((y0 + down * (y1 - y0)) * _STEPS),
    )


def overlay_shares(
    products: KeptCrops, pairs: NDArray[np.int64], raw: pd.DataFrame
) -> NDArray[np.float64]:
    """Return for each pair how far its print is an overlay: float64 (m,), 0 (none) to 1 (nothing
    else agrees).

    The affine map of such a pair leaves every place of the picture where it is, and the middle of
    the two does not agree.
    """
    shares = np.zeros(len(pairs))
    verified = np.flatnonzero(raw["inliers"].to_numpy() > 0)
    for start in range(0, len(verified), _PAIR_BLOCK):
        block = verified[start : start + _PAIR_BLOCK]
        shares[block] = _overlay_shares(products, pairs[block], raw.iloc[block])
    return shares


def _overlay_shares(
    products: KeptCrops, pairs: NDArray[np.int64], raw: pd.DataFrame
) -> NDArray[np.float64]:
    matrices = np.stack(list(raw["matrix"])).reshape(-1, 2, 3).astype(np.float64)
    places = np.array(products.places, np.float64)
    left, right = places[pairs[:, 0]], places[pairs[:, 1]]
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float64)
    mapped = np.einsum("nij,cj->nci", matrices[:, :, :2], corners) + matrices[:, None, :, 2]
    before = left[:, None, :2] + corners * (left[:, None, 2:] - left[:, None, :2])
    after = right[:, None, :2] + mapped * (right[:, None, 2:] - right[:, None, :2])
    in_place = np.abs(after - before).max(axis=(1, 2)) <= _LARGEST_SHIFT
    centre = raw["centre_agreement"].to_numpy(np.float64)
    return np.where(in_place, np.clip(1 - centre / _CENTRE_AGREES, 0, 1), 0.0)
