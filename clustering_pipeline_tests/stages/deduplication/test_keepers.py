"""Which picture of a set stands for the rest, against the plain way of looking at all that remain
each time.
"""

import numpy as np
import pytest

from clustering_pipeline.stages.deduplication.keepers import Merits, assign


def merits_of(rng, count):
    return Merits(
        acceptable=rng.random(count) < 0.7,
        sharp=rng.random(count) < 0.6,
        detail=rng.choice([0.0, 40, 70, 100, 180], count),
        pixels=rng.choice([100.0, 400], count),
        file_size=rng.choice([10.0, 20], count),
        background=rng.choice([0.5, 1.0], count),
    )


def plain_best(rows, merits):
    for preferred in (merits.acceptable, merits.sharp):
        rows = rows[preferred[rows]] if preferred[rows].any() else rows
    detailed = rows[merits.detail[rows] >= 0.55 * merits.detail[rows].max()]
    keys = [
        (-merits.pixels[row], -merits.file_size[row], -merits.background[row], row)
        for row in detailed
    ]
    return int(min(keys)[-1])


def plain_assign(rows, merits, links):
    while len(rows):
        keeper = plain_best(rows, merits)
        members = np.array([row for row in rows if links[keeper, row] and row != keeper], np.int64)
        yield keeper, members.tolist()
        rows = np.setdiff1d(rows, [keeper, *members])


@pytest.mark.parametrize("seed", range(30))
def test_keepers_are_those_of_looking_at_all_that_remain(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 60))
    links = rng.random((count, count)) < 0.1
    links |= links.T
    merits, rows = merits_of(rng, count), np.sort(rng.choice(count, count - 1, replace=False))
    links[np.setdiff1d(np.arange(count), rows)] = False
    links[:, np.setdiff1d(np.arange(count), rows)] = False
    np.fill_diagonal(links, False)
    found = assign(
        rows,
        merits,
        lambda row: np.flatnonzero(links[row]),
        lambda row, others: links[row, others],
    )
    assert [(keeper, members.tolist()) for keeper, members in found] == list(
        plain_assign(rows, merits, links)
    )


def test_a_row_that_does_not_hold_is_released():
    merits = Merits(*(np.ones(3, bool),) * 2, *(np.ones(3),) * 4)
    found = assign(
        np.arange(3),
        merits,
        lambda row: np.setdiff1d(np.arange(3), [row]),
        lambda row, others: others != 2,
    )
    assert [(keeper, members.tolist()) for keeper, members in found] == [(0, [1]), (2, [])]
