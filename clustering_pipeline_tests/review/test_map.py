"""Where pictures lie on the map, and what would part or join."""

import numpy as np
import pytest

from clustering_pipeline.outputs.report import Answers, Listing, known_answers, read_listings
from clustering_pipeline.review import (
    PairQueue,
    Picture,
    Signature,
    actions,
    place_pictures,
    ties_between,
    ties_within,
)
from clustering_pipeline_tests.outputs.report import samples


def pictures(sizes):
    """A cluster of each size, by number; -1: pictures without one."""
    return [
        Picture(number, f"{number}-{place}", (listing(number, place),))
        for number, size in sizes.items()
        for place in range(size)
    ]


def listing(number, place):
    values = dict.fromkeys(Listing.__dataclass_fields__)
    return Listing(**{**values, "listing": place, "confidence": 1 - place / 100})


def directions(shown, seed=0):
    """A vector per picture, alike within a cluster."""
    random = np.random.default_rng(seed)
    centre = {number: random.normal(size=16) for number in sorted({one.cluster for one in shown})}
    noise = [random.normal(size=16) for _ in shown]
    return {
        one.keeper: (one.cluster >= 0) * centre[one.cluster]
        + (0.05 if one.cluster >= 0 else 1) * away
        for one, away in zip(shown, noise, strict=True)
    }


def test_clusters_do_not_cover_each_other_and_every_picture_has_room():
    shown = pictures({0: 40, 1: 3, 2: 7, 3: 1, 4: 12, -1: 60})
    placed = place_pictures(shown, directions(shown))
    assert sorted(placed.pictures) == list(range(len(shown)))
    away = np.linalg.norm(placed.places[:, None] - placed.places[None], axis=2)
    np.fill_diagonal(away, np.inf)
    assert away.min() > 0.4
    cluster = np.array([shown[row].cluster for row in placed.pictures])
    for number in (0, 2, 4):
        inside = placed.places[cluster == number]
        box = inside.min(axis=0), inside.max(axis=0)
        others = placed.places[cluster != number]
        covered = (others > box[0]).all(axis=1) & (others < box[1]).all(axis=1)
        # The corners of a disc's box are another's.
        assert covered.sum() <= 2
    assert (placed.places >= 0).all()
    assert (placed.places <= [placed.width, placed.height]).all()


def test_the_surest_picture_lies_in_the_middle_of_its_cluster():
    shown = pictures({0: 30, 1: 30})
    placed = place_pictures(shown, directions(shown))
    for number in (0, 1):
        rows = [at for at, row in enumerate(placed.pictures) if shown[row].cluster == number]
        middle = placed.places[rows].mean(axis=0)
        radius = np.linalg.norm(placed.places[rows] - middle, axis=1)
        assert shown[placed.pictures[rows[0]]].first.confidence == 1.0
        assert radius[0] == radius.min()


def test_a_category_without_pictures_has_an_empty_map():
    assert len(place_pictures([], {}).pictures) == 0


@pytest.fixture
def tables(tmp_path):
    return samples.tables(samples.context(tmp_path))


def listed(queue, tie):
    return {queue.pictures[end].first.listing for end in (tie.first, tie.second)}


def test_clusters_hang_together_by_as_few_ties_as_span_them(tables):
    queue = PairQueue(tables, [])
    ties = ties_within(queue, known_answers(tables, read_listings(tables)))
    clusters = [one.cluster for one in queue.pictures if one.cluster >= 0]
    assert len(ties) == len(clusters) - len(set(clusters))
    for tie in ties:
        assert queue.pictures[tie.first].cluster == queue.pictures[tie.second].cluster


def test_the_weakest_of_three_matches_holds_nothing(tables):
    """Single linkage: of a triangle the two likeliest matches remain."""
    queue = PairQueue(tables, [])
    answers = known_answers(tables, read_listings(tables))
    ties = [tie for tie in ties_within(queue, answers) if listed(queue, tie) <= {0, 1, 2}]
    chances = {
        frozenset((queue.pictures[a].first.listing, queue.pictures[b].first.listing)): chance
        for a, b, chance in zip(queue.first, queue.second, queue.compared, strict=True)
        if not np.isnan(chance)
    }
    of_triangle = sorted(value for pair, value in chances.items() if pair <= {0, 1, 2})
    held = sorted(tie.probability for tie in ties if tie.probability is not None)
    assert held == of_triangle[-len(held) :]


def test_what_people_said_neither_parts_nor_joins(tables):
    queue = PairQueue(tables, [])
    listings = read_listings(tables)
    free = Answers([], listings)
    between = ties_between(queue, free)
    assert between and [tie.probability for tie in between] == sorted(
        (tie.probability for tie in between), reverse=True
    )
    within = next(tie for tie in ties_within(queue, free) if tie.probability is not None)
    by = Signature("lan", "x")

    def ends(tie):
        return [queue.pictures[end].first for end in (tie.first, tie.second)]

    said = [*actions.same(*ends(within), by), *actions.different(*ends(between[0]), by)]
    told = Answers([one.statement for one in said], listings)
    assert listed(queue, between[0]) not in [
        listed(queue, tie) for tie in ties_between(queue, told)
    ]
    kept = [tie for tie in ties_within(queue, told) if listed(queue, tie) == listed(queue, within)]
    assert [tie.probability for tie in kept] == [None]
