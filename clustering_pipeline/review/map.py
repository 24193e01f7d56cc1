"""The map of a category: a place for every picture, and which clusters would part or join if
matches were judged more strictly or less.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.graph import DisjointSets, spanning_links
from clustering_pipeline.outputs.report import Answers, Listing, place_groups
from clustering_pipeline.review.queue import PairQueue, Picture

Numbers = NDArray[np.int64]
# So many pictures are placed, those of the most doubtful clusters first.
MOST_PLACED = 60_000
# A match that is less likely one product joins nothing on the map.
LEAST_LIKELY = 0.02


@dataclass(frozen=True)
class Placed:
    """Pictures with their places: one unit of area a picture.

    Attributes:
        pictures: positions among the pictures of the queue, int64 (n,).
        places: from the left and from the top, float64 (n, 2).
        width, height: of the whole map.
    """

    pictures: Numbers
    places: NDArray[np.float64]
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
    order = [
        sorted(rows, key=lambda row: (-(pictures[row].first.confidence or 0.0), row))
        for rows in groups.values()
    ]
    plane = place_groups(
        [np.stack([vectors[pictures[row].keeper] for row in rows]) for rows in order]
    )
    return Placed(
        np.array([row for rows in order for row in rows], np.int64),
        plane.places,
        plane.width,
        plane.height,
    )


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
