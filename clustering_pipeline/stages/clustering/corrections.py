"""What people said, imposed on a grouping of listings."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.corrections import (
    Different,
    ListingReference,
    RecordedCorrection,
    Same,
)
from clustering_pipeline.core.graph import DisjointSets
from clustering_pipeline.stages.clustering.problem import NOISE

Link = tuple[int, int, float]
# The listings of each product_base_id: an index and the sha256 of its images.
ListingsById = Mapping[str, Sequence[tuple[int, frozenset[str]]]]


@dataclass
class ResolvedCorrections:
    """What people said as pairs of listing indices that agree with each other; where they did not,
    the newest holds.

    `contradicted`: numbers of statements that a newer one overrules. `unresolved`: those whose
    listings are not here.
    """

    same: list[tuple[int, int]] = field(default_factory=list)
    different: list[tuple[int, int]] = field(default_factory=list)
    contradicted: list[int] = field(default_factory=list)
    unresolved: list[int] = field(default_factory=list)


class _Sets(DisjointSets[int]):
    """Disjoint sets of indices, some pairs of which must stay apart."""

    def __init__(self) -> None:
        super().__init__()
        self.apart: dict[int, set[int]] = defaultdict(set)

    def try_join(self, a: int, b: int) -> bool:
        """Join the sets of `a` and `b` and return True, or False when they must stay apart."""
        first, second = sorted((self.find(a), self.find(b)))
        if first == second:
            return True
        if second in self.apart[first]:
            return False
        self.join(first, second)
        for other in self.apart.pop(second, set()):
            self.apart[other].discard(second)
            self.separate(first, other)
        return True

    def separate(self, a: int, b: int) -> bool:
        """Keep the sets of `a` and `b` apart from now on and return True, or False when they are
        one.
        """
        first, second = self.find(a), self.find(b)
        self.apart[first].add(second) if first != second else None
        self.apart[second].add(first) if first != second else None
        return first != second


def resolve_statements(
    corrections: Iterable[RecordedCorrection], listings_of: ListingsById
) -> ResolvedCorrections:
    """Return what is said of pairs as pairs of listing indices; of two statements that contradict
    each other the newer counts.
    """
    resolved, sets = ResolvedCorrections(), _Sets()
    for recorded in sorted(corrections, key=lambda item: item.number, reverse=True):
        match recorded.statement:
            case Same(a, b):
                accept, accepted = sets.try_join, resolved.same
            case Different(a, b):
                accept, accepted = sets.separate, resolved.different
            case _:
                continue
        links = links_between(a, b, listings_of)
        if not links:
            resolved.unresolved.append(recorded.number)
            continue
        agreed = [link for link in links if accept(*link)]
        accepted.extend(agreed)
        if len(agreed) < len(links):
            resolved.contradicted.append(recorded.number)
    return resolved


def links_between(
    a: ListingReference, b: ListingReference, listings_of: ListingsById
) -> list[tuple[int, int]]:
    """Return every pair of listing indices that two references name: an id may stand on several
    rows.
    """
    return [
        (first, second)
        for first in _indices(listings_of, a)
        for second in _indices(listings_of, b)
        if first != second
    ]


def _indices(listings_of: ListingsById, said: ListingReference) -> list[int]:
    return [
        index
        for index, images in listings_of.get(said.product_base_id, ())
        if said.image_sha256 is None or said.image_sha256 in images
    ]


def impose(
    labels: NDArray[np.int64], statements: ResolvedCorrections, links: Iterable[Link]
) -> NDArray[np.int64]:
    """Return labels (int64, n) in which every statement holds and no other listing moves without
    need.

    `links` are pairs of listings with the weight of their evidence. A listing that is the same as
    one elsewhere and different from one here moves alone; otherwise clusters that hold one product
    are joined whole, and a cluster that holds two is cut along its weakest links.

    Example:
        >>> labels = np.array([0, 0, 0, 1])
        >>> statements = ResolvedCorrections(same=[(2, 3)], different=[(0, 2)])
        >>> impose(labels, statements, links=[(0, 1, 2.0), (1, 2, 1.0)]).tolist()
        [0, 0, 1, 1]
    """
    if not statements.same and not statements.different:
        return labels
    moved = _join_clusters(_move_single(labels.copy(), statements), statements)
    torn = sorted({int(moved[a]) for a, b in statements.different if moved[a] == moved[b] != NOISE})
    by_cluster = defaultdict(list)
    for link in links:
        if moved[link[0]] == moved[link[1]]:
            by_cluster[int(moved[link[0]])].append(link)
    for label in torn:
        members = np.flatnonzero(moved == label)
        moved[members] = moved.max() + 1 + _cut(members.tolist(), statements, by_cluster[label])
    return moved


def _move_single(labels: NDArray[np.int64], statements: ResolvedCorrections) -> NDArray[np.int64]:
    goals = defaultdict(list)
    for a, b in statements.same:
        goals[a].append(b)
        goals[b].append(a)
    before = labels.copy()

    def goal_elsewhere(item: int) -> int | None:
        return next((other for other in sorted(goals[item]) if before[other] != before[item]), None)

    for a, b in statements.different:
        if before[a] != before[b] or before[a] == NOISE:
            continue
        leaving = [(item, goal) for item in (a, b) if (goal := goal_elsewhere(item)) is not None]
        if len(leaving) == 1:
            item, goal = leaving[0]
            labels[item] = labels[goal] if labels[goal] != NOISE else labels.max() + 1
    return labels


def _join_clusters(labels: NDArray[np.int64], statements: ResolvedCorrections) -> NDArray[np.int64]:
    for a, b in statements.same:
        if labels[a] == labels[b] != NOISE:
            continue
        targets = [int(labels[item]) for item in (a, b) if labels[item] != NOISE]
        target = min(targets, default=int(labels.max()) + 1)
        for label in targets:
            labels[labels == label] = target
        labels[[a, b]] = target
    return labels


def _cut(
    members: Sequence[int], statements: ResolvedCorrections, links: Iterable[Link]
) -> NDArray[np.int64]:
    """Return 0-based parts of one cluster: its links are laid strongest first, save those that
    would break a statement.
    """
    sets, inside = _Sets(), set(members)
    for a, b in statements.same:
        if a in inside and b in inside:
            sets.try_join(a, b)
    for a, b in statements.different:
        if a in inside and b in inside:
            sets.separate(a, b)
    for a, b, _ in sorted(links, key=lambda link: (-link[2], link[0], link[1])):
        sets.try_join(a, b)
    _gather_loose(members, sets)
    roots = [sets.find(item) for item in members]
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _gather_loose(members: Sequence[int], sets: _Sets) -> None:
    """Join parts that no link holds and no statement keeps away to the largest part."""
    parts = defaultdict(list)
    for item in members:
        parts[sets.find(item)].append(item)
    by_size = sorted(parts, key=lambda root: (-len(parts[root]), root))
    for root in by_size:
        if not sets.apart.get(sets.find(root)):
            next(
                (target for target in by_size if target != root and sets.try_join(target, root)),
                None,
            )
