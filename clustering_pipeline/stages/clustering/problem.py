"""The clustering problem of a category: which kept crops there are, and what is known between
them.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

NOISE = -1


@dataclass(frozen=True)
class Edges:
    """Pairs of nodes, each once with `rows` < `columns` (int64, m), sorted; float64 weights and
    probabilities in 0 to 1.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    weights: NDArray[np.float64]
    probabilities: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, chosen: NDArray[np.bool_]) -> "Edges":
        """Return the edges of a boolean mask (m)."""
        return Edges(
            self.rows[chosen],
            self.columns[chosen],
            self.weights[chosen],
            self.probabilities[chosen],
        )


def no_edges() -> Edges:
    """Return no edges at all."""
    return Edges(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


@dataclass(frozen=True)
class ClusteringProblem:
    """The nodes are kept crops in the order of their sha256, a node per variant where titles under
    one photo contradict.

    `keys`: sha256 of each crop, with # and a count for further variants (n). `listings`: listings
    that each stands for (int64, n). `vectors`: unit-length float32 (n, d), zeros where a crop has
    no embedding. `contradictions`: pairs whose weight is how strongly they contradict being one
    product, negative where they could and do not. `odds`: pairs whose weight is the log-odds of one
    product, of every pair that was looked at; none where embeddings are the evidence. `repulsions`:
    those below 0 of two listings of one shop.
    """

    keys: list[str]
    listings: NDArray[np.int64]
    edges: Edges
    vectors: NDArray[np.float32]
    contradictions: Edges = field(default_factory=no_edges)
    odds: Edges = field(default_factory=no_edges)
    repulsions: Edges = field(default_factory=no_edges)

    @property
    def size(self) -> int:
        """The number of nodes."""
        return len(self.keys)

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """The first 64 bits of each node's sha256 (uint64, n)."""
        return np.array([int(key[:16], 16) for key in self.keys], np.uint64)


def make_edges(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    weights: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    size: int,
) -> Edges:
    """Return each pair once in canonical order with its strongest evidence; loops are left out."""
    low, high = (
        np.minimum(rows, columns).astype(np.int64),
        np.maximum(rows, columns).astype(np.int64),
    )
    order = np.lexsort((-probabilities, -weights, low * size + high))
    order = order[low[order] != high[order]]
    pairs = (low * size + high)[order]
    first = order[np.concatenate([[True], pairs[1:] != pairs[:-1]])] if len(pairs) else order
    return Edges(
        low[first], high[first], weights[first].astype(float), probabilities[first].astype(float)
    )
