"""Modules in which some crops repel each other are put together anew from the evidence for and
against.

Ten siblings that one shop lists, each with a picture of the maker's campaign beside it, look like
one module: the campaign's pictures resemble each other more than each resembles its own product.
What one shop lists is hardly ever one product, so that the shop's ten pictures repel each other,
and each campaign picture goes where it belongs.
"""

from collections import defaultdict
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.stages.clustering.problem import Edges

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
