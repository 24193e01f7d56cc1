"""One photo under titles that contradict each other: a node per variant, so that 50 ml and 100 ml are not forced together."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from clustering_pipeline.grouping.problem import Edges, make_edges
from clustering_pipeline.wording import Quantity, conflict_between, read_quantities

Quantities = frozenset[Quantity]
SEPARATOR = "#"


def keeper_of(node: str) -> str:
    """Return the sha256 of the crop that a node stands for; a node is named by it and, of a further variant, # and a count."""
    return node.split(SEPARATOR, 1)[0]


def split_by_title(keepers: pd.Series, titles: pd.Series) -> tuple[pd.Series, dict[str, Quantities]]:
    """Return the node of each listing's picture, given its keeper and the listing's title, and what each node's titles state.

    Of titles that contradict each other in number, unit or packs, those of most listings keep the keeper's own name as node.
    Listings without a title stay there too.
    """
    stated = {title: read_quantities(title) for title in titles.dropna().unique()}
    quantities = titles.map(stated)
    nodes = keepers.astype(object)
    several = quantities.groupby(keepers).transform("nunique") > 1
    for keeper, rows in quantities[several].groupby(keepers[several]):
        for position, variant in enumerate(_variants(rows.dropna())):
            if position:
                nodes.loc[rows.index[rows.isin(variant)]] = f"{keeper}{SEPARATOR}{position}"
    contents: dict[str, Quantities] = defaultdict(frozenset)
    for node, said in zip(nodes[quantities.notna()], quantities.dropna(), strict=True):
        contents[node] |= said
    return nodes, dict(contents)


def _variants(quantities: pd.Series) -> list[set[Quantities]]:
    """Return sets of statements that agree with each other, those of most listings first."""
    counts = quantities.value_counts()
    variants: list[set[Quantities]] = []
    for stated in sorted(counts.index, key=lambda said: (-counts[said], sorted(said))):
        agreeing = (variant for variant in variants if not any(conflict_between(stated, other) for other in variant))
        variant = next(agreeing, None)
        if variant is None:
            variants.append({stated})
        else:
            variant.add(stated)
    return variants


def link_variants(edges: Edges, nodes: Sequence[str], contents: dict[str, Quantities]) -> Edges:
    """Return the edges with those of a split keeper handed to the variants that agree best with the other end.

    `edges` join keepers by the index of their first variant in `nodes`, which is sorted.
    """
    variants = _variant_indices(nodes)
    split = np.zeros(len(nodes), bool)
    split[[indices[0] for indices in variants.values() if len(indices) > 1]] = True
    touched = split[edges.rows] | split[edges.columns]
    kept, moved = edges.where(~touched), list(_handed_over(edges.where(touched), nodes, contents, variants))
    if not moved:
        return kept
    rows, columns, weights, probabilities = (np.array(side) for side in zip(*moved, strict=True))
    return make_edges(
        np.concatenate([kept.rows, rows]),
        np.concatenate([kept.columns, columns]),
        np.concatenate([kept.weights, weights]),
        np.concatenate([kept.probabilities, probabilities]),
        len(nodes),
    )


def _handed_over(
    edges: Edges, nodes: Sequence[str], contents: dict[str, Quantities], variants: dict[str, list[int]]
) -> Iterator[tuple[int, int, float, float]]:
    def agreement(a: int, b: int) -> tuple[bool, int]:
        first, second = contents.get(nodes[a], frozenset()), contents.get(nodes[b], frozenset())
        return conflict_between(first, second) is None, len(first & second)

    for a, b, weight, probability in zip(edges.rows, edges.columns, edges.weights, edges.probabilities, strict=True):
        few, many = sorted((variants[nodes[a]], variants[nodes[b]]), key=len)
        # Each variant of the side that has fewer chooses one of the other side; a lone node keeps its link in any case.
        for chooser in few:
            best = max(many, key=lambda other: (agreement(chooser, other), -other))
            if len(few) == 1 or agreement(chooser, best)[0]:
                yield chooser, best, float(weight), float(probability)


def _variant_indices(nodes: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for index, node in enumerate(nodes):
        found[keeper_of(node)].append(index)
    return dict(found)


def variant_pairs(nodes: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of indices of nodes that are variants of one keeper."""
    return [pair for indices in _variant_indices(nodes).values() for pair in combinations(indices, 2)]
