"""One photo under titles that contradict each other: a node per variant, so that 50 ml and 100 ml are not forced together."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from clustering_pipeline.grouping.problem import Edges, make_edges
from clustering_pipeline.wording import NOTHING_SAID, Statement, contradiction_between, read_titles

SEPARATOR = "#"


def keeper_of(node: str) -> str:
    """Return the sha256 of the crop that a node stands for; a node is named by it and, of a further variant, # and a count."""
    return node.split(SEPARATOR, 1)[0]


def split_by_title(crops: pd.Series, keepers: pd.Series, titles: pd.Series) -> tuple[pd.Series, dict[str, Statement]]:
    """Return the node of each listing's picture, given its crop, the crop's keeper and the title, and what is said of each node.

    Of titles that contradict each other in number, unit or packs, those of most listings keep the keeper's own name as node.
    Titles that replace a word contradict each other where their pictures are nearly identical; under one and the same picture
    they are two names of one product. Listings without a title stay with the keeper.
    """
    said = _statements(crops, titles)
    nodes = keepers.astype(object)
    several = said.groupby(keepers).transform("nunique") > 1
    for keeper, rows in said[several].groupby(keepers[several]):
        for position, variant in enumerate(_variants(rows.dropna())):
            if position:
                nodes.loc[rows.index[rows.isin(variant)]] = f"{keeper}{SEPARATOR}{position}"
    contents: dict[str, Statement] = defaultdict(lambda: NOTHING_SAID)
    for node, statement in zip(nodes[said.notna()], said.dropna(), strict=True):
        contents[node] = contents[node].joined(statement)
    return nodes, dict(contents)


def _statements(crops: pd.Series, titles: pd.Series) -> pd.Series:
    """Return what the title of each row says in numbers, and all titles of its crop in words; null without a title."""
    stated = read_titles(titles.dropna())
    words: dict[str, frozenset[str]] = defaultdict(frozenset)
    for crop, title in zip(crops[titles.notna()], titles.dropna(), strict=True):
        words[crop] |= stated[title].words
    said = [
        None if pd.isna(title) else Statement(stated[title].quantities, words[crop])
        for crop, title in zip(crops, titles, strict=True)
    ]
    return pd.Series(said, index=titles.index, dtype=object)


def _variants(said: pd.Series) -> list[set[Statement]]:
    """Return sets of statements that agree with each other, those of most listings first."""
    counts = said.value_counts()
    variants: list[set[Statement]] = []
    for stated in sorted(counts.index, key=lambda one: (-counts[one], sorted(one.quantities), sorted(one.words))):
        agreeing = (variant for variant in variants if not any(contradiction_between(stated, other) for other in variant))
        variant = next(agreeing, None)
        if variant is None:
            variants.append({stated})
        else:
            variant.add(stated)
    return variants


def link_variants(edges: Edges, nodes: Sequence[str], contents: dict[str, Statement]) -> Edges:
    """Return the edges with those of a split keeper handed to the variants that agree best with the other end.

    `edges` join keepers by the index of their first variant in `nodes`, which is sorted.
    """
    variants = _variant_indices(nodes)
    touched = _touching_split(edges, nodes)
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


def without_split(edges: Edges, nodes: Sequence[str]) -> Edges:
    """Return the edges that touch no split keeper."""
    return edges.where(~_touching_split(edges, nodes))


def _touching_split(edges: Edges, nodes: Sequence[str]) -> np.ndarray:
    split = np.zeros(len(nodes), bool)
    split[[indices[0] for indices in _variant_indices(nodes).values() if len(indices) > 1]] = True
    return split[edges.rows] | split[edges.columns]


def _handed_over(
    edges: Edges, nodes: Sequence[str], contents: dict[str, Statement], variants: dict[str, list[int]]
) -> Iterator[tuple[int, int, float, float]]:
    def agreement(a: int, b: int) -> tuple[bool, int]:
        first, second = contents.get(nodes[a], NOTHING_SAID), contents.get(nodes[b], NOTHING_SAID)
        common = len(first.quantities & second.quantities) + len(first.words & second.words)
        return contradiction_between(first, second) is None, common

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
