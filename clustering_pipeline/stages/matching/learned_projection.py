"""A category's own projection of its vectors, learned from its verified pairs: what differs within
products counts less.

The whitening half of Mikolajczyk and Matas 2007 (supervised as in Radenović et al. 2018), with no
label: the pairs are those that print, text and geometry accept. Directions in which they differ (a
shop's card, the background, the side shown) shrink, so that further pictures of the same products
become neighbours. It asks for no precise pairs: shops' templates, accepted by mistake, teach it to
disregard the template.
"""

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.stages.matching.geometry import Floats

# Added to the variance within products, in units of its mean over all directions.
SHRINKAGE = 1.0
MOST_PAIRS = 50_000


def learn_projection(
    vectors: Floats, pairs: NDArray[np.int64], shrinkage: float = SHRINKAGE
) -> Floats:
    """Return a symmetric projection, float32 (d, d), for unit `vectors` (n, d) from accepted
    `pairs` (m, 2) of their rows.

    Each crop counts by the root of its number of pairs, so that a large product does not speak for
    all. Above 50,000 pairs every so-many-th is used. Without pairs the identity is returned.
    """
    from threadpoolctl import threadpool_limits

    dimension = vectors.shape[1]
    if not len(pairs):
        return np.eye(dimension, dtype=np.float32)
    used = pairs[
        np.linspace(0, len(pairs) - 1, min(len(pairs), MOST_PAIRS)).round().astype(np.int64)
    ]
    first, second = used.T
    partners = np.bincount(used.ravel(), minlength=len(vectors))
    differences = (vectors[first] - vectors[second]).astype(np.float64)
    differences /= np.sqrt(np.sqrt(partners[first] * partners[second]))[:, None]
    with threadpool_limits(limits=1):
        within = differences.T @ differences
        mean = np.trace(within) / dimension
        if mean <= 0:
            return np.eye(dimension, dtype=np.float32)
        variances, directions = np.linalg.eigh(within / mean + shrinkage * np.eye(dimension))
    return np.asarray((directions / np.sqrt(variances)) @ directions.T, np.float32)


def project(vectors: Floats, projection: Floats) -> Floats:
    """Return unit rows of `vectors` under `projection`; a row that it takes to nothing stays as it
    was.
    """
    projected = vectors @ projection
    lengths = np.linalg.norm(projected, axis=1, keepdims=True)
    return np.where(lengths > 0, projected / np.maximum(lengths, 1e-12), vectors).astype(np.float32)
