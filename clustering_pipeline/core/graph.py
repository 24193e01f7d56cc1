"""Rows that hang together through pairs: connected components, disjoint sets and the weakest link
of each group; and which crop stands for which, each followed to the keeper of its keeper.
"""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

Indices = NDArray[np.int64]
# Ends of links, of whatever width they were counted in.
Ends = NDArray[np.int32] | NDArray[np.int64]
Item = TypeVar("Item", bound=Hashable)


def component_labels(count: int, first: Ends, second: Ends) -> Indices:
    """Return the connected component of each of `count` rows, 0 to k - 1 by its first row: int64
    (count,).

    Example:
        >>> component_labels(5, np.array([0, 3]), np.array([2, 4])).tolist()
        [0, 1, 0, 2, 2]
    """
    graph = coo_matrix((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    labels: Indices = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def symmetric_matrix(pairs: Indices, values: NDArray[np.float64], count: int) -> csr_matrix:
    """Return the values of pairs of rows, int64 (n, 2), in both directions: a sparse float64
    (count, count).

    Example:
        >>> symmetric_matrix(np.array([[0, 2]]), np.array([0.5]), 3).toarray()[:, 2].tolist()
        [0.5, 0.0, 0.0]
    """
    half = coo_matrix((values, (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()
    return (half + half.T).tocsr()


def components(count: int, first: Indices, second: Indices) -> list[Indices]:
    """Return the connected components with two rows or more of `count` rows, each sorted, ordered
    by their first row.

    Example:
        >>> [group.tolist() for group in components(5, np.array([0, 3]), np.array([2, 4]))]
        [[0, 2], [3, 4]]
    """
    if len(first) == 0:
        return []
    labels = component_labels(count, first, second)
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return sorted(
        (group.astype(np.int64) for group in groups if len(group) > 1),
        key=lambda group: int(group[0]),
    )


class Neighbours:
    """The rows that each of `count` rows is linked with."""

    def __init__(self, count: int, first: Indices, second: Indices) -> None:
        """`first`, `second`: the rows of every link, each link once."""
        rows, others = np.concatenate([first, second]), np.concatenate([second, first])
        order = np.lexsort((others, rows))
        self._others = others[order]
        self._starts = np.searchsorted(rows[order], np.arange(count + 1))

    def of(self, row: int) -> Indices:
        """Return the rows that a row is linked with, ascending."""
        return self._others[self._starts[row] : self._starts[row + 1]]


def spanning_links(count: int, first: Indices, second: Indices) -> Indices:
    """Return the positions of the links, given heaviest first, that make the maximum spanning
    forest: int64, ascending.

    Of two links between the same rows the first counts (Kruskal 1956).

    Example:
        >>> spanning_links(3, np.array([0, 1, 0]), np.array([1, 2, 2])).tolist()
        [0, 1]
    """
    low, high = np.minimum(first, second), np.maximum(first, second)
    distinct = np.unique(low * count + high, return_index=True)[1]
    # A rank starts at 1 because a sparse matrix has no entry of 0.
    ranks = coo_matrix((distinct + 1.0, (low[distinct], high[distinct])), shape=(count, count))
    return np.sort(minimum_spanning_tree(ranks).data.astype(np.int64) - 1)


class DisjointSets(Generic[Item]):
    """Sets of items that are joined and never parted; an item is a set of its own until then."""

    def __init__(self) -> None:
        self._parent: dict[Item, Item] = {}

    def find(self, item: Item) -> Item:
        """Return the item that names the set."""
        root = item
        while (parent := self._parent.get(root, root)) != root:
            root = parent
        while (parent := self._parent.get(item, item)) != root:
            self._parent[item], item = root, parent
        return root

    def join(self, first: Item, second: Item) -> None:
        """Put the sets of both into one, which the set of `first` names from now on."""
        root = self.find(first)
        self._parent[self.find(second)] = root


def keepers(clean_images: pd.DataFrame, semantic_duplicates: pd.DataFrame) -> pd.DataFrame:
    """Return `crop_sha256`, `keeper`, `relation`, `too_alike` of every crop that the quality limits
    let through.

    `keeper` is the crop that finally stands for it, itself included; `relation` to it is "",
    "duplicate" or "semantic duplicate". One that is rejected for being too alike, as itself or by
    its keeper, has a reason `too_alike` and no keeper.

    Example:
        >>> clean = pd.DataFrame({"crop_sha256": ["a", "b", "c"]})
        >>> clean = clean.assign(status=["kept", "duplicate", "kept"], keeper=[None, "a", None])
        >>> semantic = pd.DataFrame({"crop_sha256": ["a", "c"], "keeper": "a", "reason": None})
        >>> keepers(clean, semantic)["keeper"].to_list()
        ['a', 'a', 'a']
        >>> keepers(clean, semantic)["relation"].to_list()
        ['', 'duplicate', 'semantic duplicate']
    """
    perceptual = perceptual_keepers(clean_images)
    alike = linked(semantic_duplicates)
    both = perceptual | dict(zip(alike["crop_sha256"], alike["keeper"], strict=True))
    too_alike = alike[alike["reason"].notna()].set_index("crop_sha256")["reason"].to_dict()
    rows: list[tuple[str, str | None, str, str | None]] = []
    for crop, same in perceptual.items():
        last = _follow(crop, both)
        relation = "semantic duplicate" if last != same else "duplicate" if same != crop else ""
        rows.append((crop, None if same in too_alike else last, relation, too_alike.get(same)))
    return pd.DataFrame(
        rows, columns=["crop_sha256", "keeper", "relation", "too_alike"], dtype=object
    )


def perceptual_keepers(clean_images: pd.DataFrame) -> dict[str, str]:
    """Return the crop that shows the same picture as each crop that was not rejected, itself
    included.
    """
    usable = clean_images[clean_images["status"] != "rejected"]
    direct = dict(
        zip(usable["crop_sha256"], usable["keeper"].fillna(usable["crop_sha256"]), strict=True)
    )
    return {crop: _follow(crop, direct) for crop in direct}


def linked(semantic_duplicates: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of SEMANTIC_DUPLICATES whose crop has another one as its keeper."""
    return semantic_duplicates[semantic_duplicates["keeper"] != semantic_duplicates["crop_sha256"]]


def _follow(crop: str, keeper_of: Mapping[str, str]) -> str:
    visited = {crop}
    while (keeper := keeper_of.get(crop, crop)) not in visited:
        crop = keeper
        visited.add(crop)
    return crop
