"""Print that a shop lays over everything it lists: its frame, banner and stickers."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.matching.products import Products
from clustering_pipeline.matching.text_reader import TextLine
from clustering_pipeline.wording import plain_letters

# An overlay sits at the same place of every picture; photographs of products hardly ever do.
_LARGEST_SHIFT = 0.015
# Pictures that agree in their middle as well are copies of one photograph rather than one frame around two products.
_CENTRE_AGREES = 0.25

# A line of an overlay stands in so many pictures at one place, given in such steps of the picture's width and height.
_FEWEST_PICTURES, _STEPS = 3, 40


def without_overlays(products: Products, lines: Mapping[int, Sequence[TextLine]]) -> dict[int, list[TextLine]]:
    """Return the lines on each pack less those that stand at the same place of three pictures or more: stickers and banners."""
    places = {row: [_place(products.places[row], line) for line in found] for row, found in lines.items()}
    counts = Counter(place for found in places.values() for place in set(found))
    return {
        row: [line for line, place in zip(found, places[row], strict=True) if counts[place] < _FEWEST_PICTURES]
        for row, found in lines.items()
    }


def _place(product: tuple[float, ...], line: TextLine) -> tuple[str, int, int]:
    x0, y0, x1, y1 = product
    across, down = line.quad.mean(axis=0)
    return plain_letters(line.text), round((x0 + across * (x1 - x0)) * _STEPS), round((y0 + down * (y1 - y0)) * _STEPS)


def overlay_shares(products: Products, pairs: NDArray[np.int64], raw: pd.DataFrame) -> NDArray[np.float64]:
    """Return for each pair how far its print is an overlay: float64 (m,), 0 (none) to 1 (nothing else agrees).

    The affine map of such a pair leaves every place of the picture where it is, and the middle of the two does not agree.
    """
    shares = np.zeros(len(pairs))
    verified = np.flatnonzero(raw["inliers"].to_numpy() > 0)
    if len(verified) == 0:
        return shares
    matrices = np.stack(list(raw["matrix"].iloc[verified])).reshape(-1, 2, 3).astype(np.float64)
    places = np.array(products.places, np.float64)
    left, right = places[pairs[verified, 0]], places[pairs[verified, 1]]
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float64)
    mapped = np.einsum("nij,cj->nci", matrices[:, :, :2], corners) + matrices[:, None, :, 2]
    before = left[:, None, :2] + corners * (left[:, None, 2:] - left[:, None, :2])
    after = right[:, None, :2] + mapped * (right[:, None, 2:] - right[:, None, :2])
    in_place = np.abs(after - before).max(axis=(1, 2)) <= _LARGEST_SHIFT
    centre = raw["centre_agreement"].to_numpy(np.float64)[verified]
    shares[verified] = np.where(in_place, np.clip(1 - centre / _CENTRE_AGREES, 0, 1), 0.0)
    return shares
