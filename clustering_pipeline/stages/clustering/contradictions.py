"""Modules that hold two products which contradict each other are cut in two, and those in which
some crops repel each other are put together anew.

Near variants agree in all of their print but a line, and many of their pairs do not show that line:
evidence that only joins puts them into one module. What tells them apart is which pairs contradict
each other: between two products many, within one hardly any. Each pair carries the logarithm of how
much likelier what it shows is between two products than within one; a cut is worth the sum of that
across it.

Ten siblings that one shop lists, each with a picture of the maker's campaign beside it, look like
one module: the campaign's pictures resemble each other more than each resembles its own product.
What one shop lists is hardly ever one product, so that the shop's ten pictures repel each other,
and each campaign picture goes where it belongs.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import combinations
from math import lgamma

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from clustering_pipeline.core.titles import (
    NOTHING_SAID,
    TitleFacts,
    contradiction_between,
    read_titles,
)
from clustering_pipeline.stages.clustering.problem import Edges, make_edges

SEPARATOR = "#"


def keeper_of(node: str) -> str:
    """Return the sha256 of the crop that a node stands for; a node is named by it and, of a further
    variant, # and a count.
    """
    return node.split(SEPARATOR, 1)[0]


def split_by_title(
    crops: pd.Series, keepers: pd.Series, titles: pd.Series
) -> tuple[pd.Series, dict[str, TitleFacts]]:
    """Return the node of each listing's picture, given its crop, the crop's keeper and the title,
    and what is said of each node.

    Of titles that contradict each other in number, unit or packs, those of most listings keep the
    keeper's own name as node. Titles that replace a word contradict each other where their pictures
    are nearly identical; under one and the same picture they are two names of one product. Listings
    without a title stay with the keeper.
    """
    said = _statements(crops, titles)
    nodes = keepers.astype(object)
    several = said.groupby(keepers).transform("nunique") > 1
    for keeper, rows in said[several].groupby(keepers[several]):
        for position, variant in enumerate(_variants(rows.dropna())):
            if position:
                nodes.loc[rows.index[rows.isin(variant)]] = f"{keeper}{SEPARATOR}{position}"
    contents: dict[str, TitleFacts] = defaultdict(lambda: NOTHING_SAID)
    for node, statement in zip(nodes[said.notna()], said.dropna(), strict=True):
        contents[node] = contents[node].joined(statement)
    return nodes, dict(contents)


def _statements(crops: pd.Series, titles: pd.Series) -> pd.Series:
    """Return what the title of each row says in numbers, and all titles of its crop in words; null
    without a title.
    """
    stated = read_titles(titles.dropna())
    words: dict[str, frozenset[str]] = defaultdict(frozenset)
    for crop, title in zip(crops[titles.notna()], titles.dropna(), strict=True):
        words[crop] |= stated[title].words
    said = [
        None if pd.isna(title) else TitleFacts(stated[title].quantities, words[crop])
        for crop, title in zip(crops, titles, strict=True)
    ]
    return pd.Series(said, index=titles.index, dtype=object)


def _variants(said: pd.Series) -> list[set[TitleFacts]]:
    """Return sets of statements that agree with each other, those of most listings first."""
    counts = said.value_counts()
    variants: list[set[TitleFacts]] = []
    for stated in sorted(
        counts.index, key=lambda one: (-counts[one], sorted(one.quantities), sorted(one.words))
    ):
        agreeing = (
            variant
            for variant in variants
            if not any(contradiction_between(stated, other) for other in variant)
        )
        variant = next(agreeing, None)
        if variant is None:
            variants.append({stated})
        else:
            variant.add(stated)
    return variants


def link_variants(edges: Edges, nodes: Sequence[str], contents: dict[str, TitleFacts]) -> Edges:
    """Return the edges with those of a split keeper handed to the variants that agree best with the
    other end.

    `edges` join keepers by the index of their first variant in `nodes`, which is sorted.
    """
    variants = _variant_indices(nodes)
    touched = _touching_split(edges, nodes)
    kept, moved = (
        edges.where(~touched),
        list(_handed_over(edges.where(touched), nodes, contents, variants)),
    )
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


def _touching_split(edges: Edges, nodes: Sequence[str]) -> NDArray[np.bool_]:
    split = np.zeros(len(nodes), bool)
    split[[indices[0] for indices in _variant_indices(nodes).values() if len(indices) > 1]] = True
    return np.asarray(split[edges.rows] | split[edges.columns], np.bool_)


def _handed_over(
    edges: Edges,
    nodes: Sequence[str],
    contents: dict[str, TitleFacts],
    variants: dict[str, list[int]],
) -> Iterator[tuple[int, int, float, float]]:
    def agreement(a: int, b: int) -> tuple[bool, int]:
        first, second = contents.get(nodes[a], NOTHING_SAID), contents.get(nodes[b], NOTHING_SAID)
        common = len(first.quantities & second.quantities) + len(first.words & second.words)
        return contradiction_between(first, second) is None, common

    for a, b, weight, probability in zip(
        edges.rows, edges.columns, edges.weights, edges.probabilities, strict=True
    ):
        few, many = sorted((variants[nodes[a]], variants[nodes[b]]), key=len)
        # Each variant of the side that has fewer chooses one of the other side; a lone node keeps
        # its link in any case.
        for chooser in few:
            best = max(many, key=lambda other: (agreement(chooser, other), -other))
            if len(few) == 1 or agreement(chooser, best)[0]:
                yield chooser, best, float(weight), float(probability)


def _variant_indices(nodes: Sequence[str]) -> dict[str, list[int]]:
    indices: dict[str, list[int]] = defaultdict(list)
    for index, node in enumerate(nodes):
        indices[keeper_of(node)].append(index)
    return dict(indices)


def variant_pairs(nodes: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of indices of nodes that are variants of one keeper."""
    return [
        pair for indices in _variant_indices(nodes).values() for pair in combinations(indices, 2)
    ]


# What a match counts against a cut, per weight: crops that nothing contradicts stay with what they
# look like.
_COHESION = 0.05
_SEEDS = 4


def cut_contradicted(
    labels: NDArray[np.int64], contradictions: Edges, matches: Edges, least: float
) -> NDArray[np.int64]:
    """Return labels (int64, n) in which no module can be cut in two with a gain of `least` or more.

    The weights of `contradictions` are natural logarithms of odds, negative where two crops could
    have contradicted each other and do not. A crop adds no more to a gain than its strongest
    contradiction: one misread line contradicts many others.
    """
    result, following = labels.copy(), int(labels.max(initial=-1)) + 1
    against = _by_module(labels, contradictions, 1.0)
    cohesion = _by_module(labels, matches, -_COHESION)
    for label, pairs in against.items():
        queue = [np.flatnonzero(labels == label)]
        while queue:
            members = queue.pop()
            apart = best_cut(_matrix(members, [*pairs, *cohesion[label]]), least)
            if apart is None:
                continue
            result[members[apart]] = following
            following += 1
            queue += [members[apart], members[~apart]]
    return result


def best_cut(against: sparse.csr_matrix, least: float) -> NDArray[np.bool_] | None:
    """Return which nodes (bool, n) to part from the others with the greatest gain, or None when
    none is worth `least`.

    From the gain of a cut is taken what it costs to say which of the nodes it parts, since the best
    of very many cuts finds some contradictions in any module.
    """
    best, chosen = least, None
    for first, second in _seeds(against):
        sides = _improved(against, _start(against, first, second))
        gain = _gain(against, sides) - _ways(len(sides), int((sides < 0).sum()))
        if gain >= best:
            best, chosen = gain, sides
    return None if chosen is None else chosen < 0


def _by_module(
    labels: NDArray[np.int64], edges: Edges, factor: float
) -> dict[int, list[tuple[int, int, float]]]:
    by_module = defaultdict(list)
    inside = edges.where(labels[edges.rows] == labels[edges.columns])
    rows = zip(
        inside.rows.tolist(),
        inside.columns.tolist(),
        (factor * inside.weights).tolist(),
        strict=True,
    )
    for row, column, weight in rows:
        by_module[int(labels[row])].append((row, column, weight))
    return by_module


def _matrix(members: NDArray[np.int64], pairs: list[tuple[int, int, float]]) -> sparse.csr_matrix:
    """Return the symmetric matrix (n, n) of the pairs among `members`, which are sorted."""
    rows, columns, weights = (np.array(side) for side in zip(*pairs, strict=True))
    first, second = np.searchsorted(members, rows), np.searchsorted(members, columns)
    inside = (np.append(members, -1)[first] == rows) & (np.append(members, -1)[second] == columns)
    size = len(members)
    half = sparse.coo_matrix(
        (weights[inside], (first[inside], second[inside])), shape=(size, size)
    ).tocsr()
    return (half + half.T).tocsr()


def _seeds(against: sparse.csr_matrix) -> list[tuple[int, int]]:
    """Return the pairs that contradict each other, of the nodes that are contradicted most."""
    worst = np.asarray(against.maximum(0).sum(axis=1)).ravel()
    order = np.lexsort((np.arange(len(worst)), -worst))[:_SEEDS]
    return [
        (int(node), int(np.argmax(against[node].toarray()))) for node in order if worst[node] > 0
    ]


def _start(against: sparse.csr_matrix, first: int, second: int) -> NDArray[np.float64]:
    """Return a side (1 or -1, n) for each node: with the one of the two that contradicts it
    less.
    """
    sides = np.where((against[first] - against[second]).toarray().ravel() > 0, -1.0, 1.0)
    sides[first], sides[second] = 1.0, -1.0
    return sides


def _improved(against: sparse.csr_matrix, sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move the node that gains most to the other side until none gains."""
    sides = sides.copy()
    pull = against @ sides
    for _ in range(4 * len(sides)):
        gains = sides * pull
        node = int(gains.argmax())
        if gains[node] <= 1e-9:
            break
        sides[node] = -sides[node]
        # The matrix is symmetric: its row is its column.
        row = slice(against.indptr[node], against.indptr[node + 1])
        pull[against.indices[row]] += 2 * sides[node] * against.data[row]
    return sides


def _gain(against: sparse.csr_matrix, sides: NDArray[np.float64]) -> float:
    """Return the evidence across the cut, no more than the strongest contradiction of each node of
    the smaller side.
    """
    smaller = -1.0 if (sides < 0).sum() * 2 <= len(sides) else 1.0
    across = against[sides == smaller][:, sides != smaller]
    if across.shape[0] == 0:
        return 0.0
    strongest = across.max(axis=1).toarray().ravel()
    return float(min(across.sum(), strongest.sum()))


def _ways(size: int, chosen: int) -> float:
    """Return the natural logarithm of the number of ways to choose so many of `size` nodes."""
    return lgamma(size + 1) - lgamma(chosen + 1) - lgamma(size - chosen + 1)


Labels = NDArray[np.int64]

# Log-odds of one product count up to this, for and against.
_SUREST = 6.0


def part_repelled(labels: Labels, odds: Edges, repulsions: Edges) -> Labels:
    """Return labels (int64, n) in which every module with a repulsion between its nodes is replaced
    by what greedy additive edge contraction makes of it (Keuper et al. 2015).

    The weights of both are log-odds of one product: those of `odds` that are above 0 attract, those
    of `repulsions`, which are below, repel. Not every pair below 0 does: two sides of one pack look
    like two products as well.
    """
    inside = repulsions.where(labels[repulsions.rows] == labels[repulsions.columns])
    torn = np.unique(labels[inside.rows])
    attracting = odds.where((odds.weights > 0) & (labels[odds.rows] == labels[odds.columns]))
    attracting = attracting.where(np.isin(labels[attracting.rows], torn))
    links: dict[int, dict[int, float]] = defaultdict(dict)
    for edges in (attracting, inside):
        weights = np.clip(edges.weights, -_SUREST, _SUREST)
        for row, column, weight in zip(
            edges.rows.tolist(), edges.columns.tolist(), weights.tolist(), strict=True
        ):
            links[row][column] = links[column][row] = weight
    result = labels.copy()
    nodes = np.flatnonzero(np.isin(labels, torn))
    parts = contract(nodes.tolist(), links)
    numbers = {first: number for number, first in enumerate(sorted(set(parts.values())))}
    following = int(labels.max(initial=-1)) + 1
    for node, first in parts.items():
        result[node] = following + numbers[first]
    return result


def contract(nodes: list[int], links: dict[int, dict[int, float]]) -> dict[int, int]:
    """Return by node the least node of its part, after joining the two parts with the greatest sum
    of weights between them until none is above 0.

    `links`: weights between nodes, in both directions; they are used up.
    """
    part = {node: node for node in nodes}
    members = {node: [node] for node in nodes}
    queue = [
        (-weight, row, column)
        for row, others in links.items()
        for column, weight in others.items()
        if row < column and weight > 0
    ]
    heapify(queue)
    while queue:
        weight, row, column = heappop(queue)
        if links.get(row, {}).get(column) != -weight:
            continue
        del links[row][column], links[column][row]
        for other, more in links.pop(column).items():
            del links[other][column]
            total = links[row].get(other, 0.0) + more
            links[row][other] = links[other][row] = total
            if total > 0:
                heappush(queue, (-total, min(row, other), max(row, other)))
        members[row] += members.pop(column)
    for first, own in members.items():
        for node in own:
            part[node] = first
    return part
