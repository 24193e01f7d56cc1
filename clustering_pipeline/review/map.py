"""The map of a category: a place for every picture, and which clusters would part or join if
matches were judged more strictly or less.

The plane is halved again and again along the axis on which what is left differs most (principal
direction divisive partitioning, Boley 1998), each half as large as what it holds, as in a treemap.
So products that look alike lie near each other, nothing covers anything, and no corner is empty;
two principal axes alone put most of a catalogue into one heap. The five nearest neighbours of the
463 products among 664 real sellers' pictures are kept with a trustworthiness (Venna and Kaski 2001)
of 0.84, by two axes with 0.78, by t-SNE, which takes 24 times as long, with 0.93.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.graph import DisjointSets, spanning_links
from clustering_pipeline.core.vectors import turned
from clustering_pipeline.outputs.report import Answers, Listing
from clustering_pipeline.review.queue import PairQueue, Picture

Reals = NDArray[np.float64]
Numbers = NDArray[np.int64]
# Width of the map over its height.
ASPECT = 1.4
# Free room beside a cluster, in pictures, and the part of its cell that a cluster fills.
ROOM, FILL = 1.2, 0.86
# So many pictures are placed, those of the most doubtful clusters first.
MOST_PLACED = 60_000
# A match that is less likely one product joins nothing on the map.
LEAST_LIKELY = 0.02
# The angle between consecutive seeds of a sunflower, which fills a disc evenly (Vogel 1979).
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


@dataclass(frozen=True)
class Placed:
    """Pictures with their places: one unit of area a picture.

    Attributes:
        pictures: positions among the pictures of the queue, int64 (n,).
        places: from the left and from the top, float64 (n, 2).
        width, height: of the whole map.
    """

    pictures: Numbers
    places: Reals
    width: float
    height: float


@dataclass(frozen=True)
class Tie:
    """What holds two pictures of one cluster together, or would join two places.

    `probability`: how likely their match is one product; None where a person said so, or where
    pictures are together without a match.
    """

    first: int
    second: int
    probability: float | None


def place_pictures(
    pictures: Sequence[Picture], vectors: Mapping[str, NDArray[np.float32]]
) -> Placed:
    """Return a place for each picture that has a vector, by its keeper.

    The pictures of a cluster lie in a disc, the surest in its middle; a picture without a cluster
    lies by itself.
    """
    with_vector = [row for row, one in enumerate(pictures) if one.keeper in vectors]
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    for row in with_vector[:MOST_PLACED]:
        groups[pictures[row].place].append(row)
    if not groups:
        return Placed(np.empty(0, np.int64), np.empty((0, 2)), ASPECT, 1.0)
    centres = np.array(
        [
            np.mean([vectors[pictures[row].keeper] for row in rows], axis=0)
            for rows in groups.values()
        ],
        np.float64,
    )
    sizes = np.array([len(rows) for rows in groups.values()])
    height = float(np.sqrt((sizes + ROOM).sum() / ASPECT))
    cells = divide_plane(centres, sizes + ROOM, ASPECT * height, height)
    order = [
        sorted(rows, key=lambda row: (-(pictures[row].first.confidence or 0.0), row))
        for rows in groups.values()
    ]
    places = [sunflower(len(rows), cell) for rows, cell in zip(order, cells, strict=True)]
    return Placed(np.concatenate(order), np.concatenate(places), ASPECT * height, height)


def divide_plane(points: Reals, weights: Reals, width: float, height: float) -> Reals:
    """Return a cell for each point, float64 (n, 4): left, top, right, bottom.

    `points`: float64 (n, d), `weights`: float64 (n,), above 0. Cells fill the plane, each as large
    as its weight; of points that resemble each other they lie together.

    Example:
        >>> divide_plane(np.array([[0.0], [9.0], [1.0]]), np.ones(3), 3, 1).tolist()
        [[0.0, 0.0, 1.0, 1.0], [2.0, 0.0, 3.0, 1.0], [1.0, 0.0, 2.0, 1.0]]
    """
    cells = np.zeros((len(points), 4))
    none = np.zeros(points.shape[1])
    open_parts = [(np.arange(len(points)), (0.0, 0.0, float(width), float(height)), (none, none))]
    while open_parts:
        rows, (left, top, right, bottom), axes = open_parts.pop()
        if len(rows) == 1:
            cells[rows[0]] = left, top, right, bottom
            continue
        wide = right - left >= bottom - top
        axis = _main_axis(points[rows])
        # Which way an axis points is free: neighbouring halves go the same way.
        if axis @ axes[0 if wide else 1] < 0:
            axis = -axis
        ordered = rows[np.argsort(points[rows] @ axis, kind="stable")]
        sums = np.cumsum(weights[ordered])
        cut = int(np.argmin(np.abs(sums[:-1] - sums[-1] / 2))) + 1
        share = sums[cut - 1] / sums[-1]
        if wide:
            middle, axes = left + (right - left) * share, (axis, axes[1])
            boxes = (left, top, middle, bottom), (middle, top, right, bottom)
        else:
            middle, axes = top + (bottom - top) * share, (axes[0], axis)
            boxes = (left, top, right, middle), (left, middle, right, bottom)
        open_parts += [(ordered[:cut], boxes[0], axes), (ordered[cut:], boxes[1], axes)]
    return cells


def _main_axis(points: Reals) -> Reals:
    """Return the axis of greatest variance of points (n, d), float64 (d,), all 0 where they are
    equal.
    """
    away = points - points.mean(axis=0)
    if len(away) < away.shape[1]:
        axis = away.T @ np.linalg.eigh(away @ away.T)[1][:, -1]
    else:
        axis = np.linalg.eigh(away.T @ away)[1][:, -1]
    oriented: Reals = turned(axis[None])[0]
    return oriented


def sunflower(count: int, cell: Reals) -> Reals:
    """Return places in the ellipse within a cell, float64 (count, 2), the first in its middle."""
    left, top, right, bottom = cell
    place = np.arange(count)
    radius = np.sqrt((place + 0.5) / count) * FILL / 2 if count > 1 else np.zeros(1)
    turn = place * GOLDEN_ANGLE
    across = (left + right) / 2 + radius * np.cos(turn) * (right - left)
    down = (top + bottom) / 2 + radius * np.sin(turn) * (bottom - top)
    return np.stack([across, down], axis=1)


def ties_within(queue: PairQueue, answers: Answers) -> list[Tie]:
    """Return by what the pictures of each cluster hang together: the likeliest matches that span
    it, the dendrogram of single linkage (Gower and Ross 1969).

    Of a stricter judgement nothing else needs to be known: a cluster parts where a tie gives way.
    """
    inside = np.flatnonzero(queue.pairs.together & ~np.isnan(queue.compared))
    inside = inside[np.argsort(-queue.compared[inside], kind="stable")]
    first, second = queue.first[inside], queue.second[inside]
    chosen = spanning_links(len(queue.pictures), first, second)
    spanning = [
        Tie(int(first[one]), int(second[one]), float(queue.compared[inside[one]])) for one in chosen
    ]
    judged = [
        Tie(tie.first, tie.second, None) if answers.said(*_ends(queue.pictures, tie)) else tie
        for tie in spanning
    ]
    return [*judged, *_unmatched_ties(queue.pictures, spanning)]


def _unmatched_ties(pictures: Sequence[Picture], ties: Sequence[Tie]) -> list[Tie]:
    """Return what holds the parts of clusters together that no match joins."""
    sets = DisjointSets[int]()
    for tie in ties:
        sets.join(tie.first, tie.second)
    first: dict[int, int] = {}
    further = []
    for row, one in enumerate(pictures):
        if one.cluster < 0:
            continue
        root = first.setdefault(one.cluster, row)
        if sets.find(root) != sets.find(row):
            sets.join(root, row)
            further.append(Tie(root, row, None))
    return further


def ties_between(queue: PairQueue, answers: Answers) -> list[Tie]:
    """Return the likeliest match between any two clusters, or pictures without one, the likeliest
    first; none of which people have spoken.
    """
    pictures = queue.pictures
    apart = np.flatnonzero(~queue.pairs.together & (queue.compared >= LEAST_LIKELY))
    apart = apart[np.argsort(-queue.compared[apart], kind="stable")]
    members: dict[tuple[int, str], list[Listing]] = defaultdict(list)
    for one in pictures:
        members[one.place].append(one.first)
    likeliest: dict[frozenset[tuple[int, str]], Tie] = {}
    for pair in apart.tolist():
        tie = Tie(int(queue.first[pair]), int(queue.second[pair]), float(queue.compared[pair]))
        both = frozenset((pictures[tie.first].place, pictures[tie.second].place))
        likeliest.setdefault(both, tie)
    return [
        tie
        for tie in likeliest.values()
        if not answers.settle_any(
            members[pictures[tie.first].place], members[pictures[tie.second].place]
        )
    ]


def _ends(pictures: Sequence[Picture], tie: Tie) -> tuple[Listing, Listing]:
    return pictures[tie.first].first, pictures[tie.second].first
