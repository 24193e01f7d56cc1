"""New listings join the clusters that are there, and nothing that is there moves."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from clustering_pipeline.grouping.assignment import Members
from clustering_pipeline.grouping.corrections import Link
from clustering_pipeline.grouping.problem import NOISE


def attach(labels: np.ndarray, members: Sequence[Members], links: Iterable[Link], current: Mapping[int, Members]) -> np.ndarray:
    """Return labels (int64, n) in which every listing that is in a numbered cluster stays there with its mates.

    `labels` are those of a grouping from scratch, `members` the names of each listing, `current` the numbered clusters. A new
    listing goes to the numbered cluster of its own group to which its links weigh most; groups of new listings only stay.
    """
    held = {member: number for number, names in current.items() for member in names}
    # A listing known by its id and by its picture follows its id, which sorts first.
    numbers = np.array([next((held[name] for name in sorted(names) if name in held), NOISE) for names in members], np.int64)
    weights: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for a, b, weight in links:
        for new, old in ((a, b), (b, a)):
            if numbers[new] == NOISE != numbers[old] and labels[new] == labels[old] != NOISE:
                weights[new][int(numbers[old])] += weight
    fresh = int(numbers.max(initial=0)) + 1
    result = np.where(labels == NOISE, NOISE, labels + fresh)
    for listing, toward in weights.items():
        numbers[listing] = min(toward, key=lambda number: (-toward[number], number))
    return np.where(numbers == NOISE, result, numbers)
