"""What happened to clusters between two groupings of a category."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from clustering_pipeline.grouping.assignment import Members


@dataclass(frozen=True)
class Change:
    """`number` was born, retired, split off `other` or was merged into `other`, with so many `members` (names, not listings)."""

    kind: Literal["birth", "retirement", "split", "merge"]
    number: int
    other: int | None
    members: int


def changes_between(before: Mapping[int, Members], after: Mapping[int, Members]) -> list[Change]:
    """Return the changes from one numbered grouping to the next, by number.

    A number that appears split off the one that held most of its members, or is a birth when none did. A number that is gone
    was merged into the one that now holds most of its members, or retired when none does.
    """
    return [*_appearances(before, after), *_disappearances(before, after)]


def _appearances(before: Mapping[int, Members], after: Mapping[int, Members]) -> Iterator[Change]:
    held = _numbers_by_member(before)
    for number in sorted(set(after) - set(before)):
        source = _most_common(held, after[number])
        yield Change("birth" if source is None else "split", number, source, len(after[number]))


def _disappearances(before: Mapping[int, Members], after: Mapping[int, Members]) -> Iterator[Change]:
    holding = _numbers_by_member(after)
    for number in sorted(set(before) - set(after)):
        target = _most_common(holding, before[number])
        yield Change("retirement" if target is None else "merge", number, target, len(before[number]))


def _numbers_by_member(clusters: Mapping[int, Members]) -> dict[str, int]:
    return {member: number for number, members in clusters.items() for member in members}


def _most_common(numbers: Mapping[str, int], members: Members) -> int | None:
    counts = Counter(numbers[member] for member in members if member in numbers)
    return min(counts, key=lambda number: (-counts[number], number)) if counts else None
