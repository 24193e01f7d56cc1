"""Print that a shop lays over everything it lists: its frame, banner and stickers."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.matching.products import Products

# An overlay sits at the same place of every picture; photographs of products hardly ever do.
_LARGEST_SHIFT = 0.015
# Pictures that agree in their middle as well are copies of one photograph rather than one frame around two products.
_CENTRE_AGREES = 0.25


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
