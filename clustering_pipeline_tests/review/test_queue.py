"""Which pairs are asked about, and what the answers say."""

import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core.corrections import RecordedCorrection, Unsure
from clustering_pipeline.outputs.report import read_listings, review_order
from clustering_pipeline.review import PairQueue, Signature, actions
from clustering_pipeline_tests.outputs.report import samples


@pytest.fixture
def tables(tmp_path):
    return samples.tables(samples.context(tmp_path))


@pytest.fixture
def queue(tables):
    return PairQueue(tables, review_order(tables))


def said(*answers, author="lan"):
    """Corrections of (kind, question) pairs, numbered from 1."""
    state = {"same": actions.same, "different": actions.different, "unsure": actions.unsure}
    stated = [
        state[kind](question.first, question.second, Signature(author, "x"))[0]
        for kind, question in answers
    ]
    return [RecordedCorrection(number, one) for number, one in enumerate(stated, 1)]


def ends(question):
    return {question.first.listing, question.second.listing}


def test_every_pair_of_a_cluster_and_every_compared_one_can_be_asked_about(queue):
    assert len(queue.pairs) == 3 + 1 + 1 + 1
    assert queue.pairs.together.sum() == 5


def test_the_doubtful_link_of_a_cluster_and_the_likely_merge_come_first(queue):
    first = queue.questions([], "lan", 1)[0]
    assert ends(first) in ({5, 6}, {2, 3})


def test_questions_are_distinct_and_never_about_what_was_answered(queue):
    questions = queue.questions([], "lan", 20)
    assert len({frozenset(ends(one)) for one in questions}) == len(questions) == 6
    answers = said(*(("same" if one.together else "different", one) for one in questions[:4]))
    left = queue.questions(answers, "lan", 20)
    assert not {frozenset(ends(one)) for one in left} & {
        frozenset(ends(one)) for one in questions[:4]
    }


def test_what_follows_from_answers_is_not_asked(queue):
    """The first three listings are one product when two of their pairs are."""
    pairs = [one for one in queue.questions([], "lan", 20) if ends(one) <= {0, 1, 2}]
    left = queue.questions(said(("same", pairs[0]), ("same", pairs[1])), "lan", 20)
    assert not any(ends(one) <= {0, 1, 2} for one in left)


def test_a_pair_that_nobody_can_tell_is_not_asked_again_and_measures_nothing(queue):
    asked = queue.questions([], "lan", 1)[0]
    answers = said(("unsure", asked))
    assert isinstance(answers[0].statement, Unsure)
    assert ends(asked) not in [ends(one) for one in queue.questions(answers, "lan", 20)]
    standing = queue.standing(answers)
    assert standing.answers == 1 and standing.quality is None


def test_answers_measure_the_grouping_and_settle_clusters(queue):
    before = queue.standing([])
    assert before.quality is None and before.open == before.doubtful == 1
    truth = {True: "same", False: "different"}
    answers = said(*((truth[one.together], one) for one in queue.questions([], "lan", 20)))
    after = queue.standing(answers)
    assert after.open == after.doubtful == 0
    assert after.quality.answers == 6
    assert after.quality.precision.value > 0.9


def test_one_question_in_eight_asks_for_a_second_opinion(queue):
    questions = queue.questions([], "lan", 20)
    kinds = ["same" if one.together else "different" for one in questions]
    first = said(*zip(kinds, questions, strict=True))[:5]
    assert queue.standing(first).kappa is None
    second = said(*zip(kinds[:2], questions[:2], strict=True), author="minh")
    both = [*first, *(RecordedCorrection(6 + n, one.correction) for n, one in enumerate(second))]
    asked = queue.questions(both, "minh", 1)
    assert frozenset(ends(asked[0])) in {frozenset(ends(one)) for one in questions[2:5]}
    assert queue.standing(both).twice == 2
    assert queue.standing(both).kappa == 1.0


def test_the_order_is_the_same_for_everybody(tables, queue):
    again = PairQueue(tables, review_order(tables))
    shown = [
        [ends(one) for one in one_queue.questions([], "x", 20)] for one_queue in (queue, again)
    ]
    assert shown[0] == shown[1]


def test_listings_that_share_a_picture_are_one_thing(tables, tmp_path):
    clusters = tables.clusters.copy()
    clusters.loc[1, "keeper"] = clusters.loc[0, "keeper"]
    copied = type(tables)(**{**vars(tables), "clusters": clusters})
    queue = PairQueue(copied, review_order(copied))
    assert queue.pairs.copies == 1.0
    heavy = queue.pairs.weight[queue.pairs.together]
    assert np.sort(heavy).tolist() == [1.0, 1.0, 2.0]
    assert len(read_listings(copied)) == len(samples.LISTINGS)


def test_a_category_without_matches_asks_about_its_clusters(tmp_path):
    tables = samples.tables(samples.context(tmp_path), with_matches=False)
    queue = PairQueue(tables, review_order(tables))
    questions = queue.questions([], "lan", 20)
    assert questions and all(one.together and one.match is None for one in questions)


def test_a_picture_that_a_likelier_match_leads_elsewhere_leans_there(tables):
    """Listing 6 has a weak match within its cluster, and now a strong one with the first three."""
    crop = dict(zip(tables.clusters["listing"], tables.clusters["keeper"], strict=True))
    inside = tables.matches["crop_a"].isin([crop[5], crop[6]]) & tables.matches["crop_b"].isin(
        [crop[5], crop[6]]
    )
    low, high = sorted((crop[6], crop[0]))
    weak = tables.matches.assign(
        probability=tables.matches["probability"].mask(inside, 0.4).astype("Float64")
    )
    strong = weak[inside].head(1).assign(crop_a=low, crop_b=high, probability=0.9, weight=0.0)
    matches = pd.concat([weak, strong], ignore_index=True)
    changed = type(tables)(**{**vars(tables), "matches": matches})
    leanings = PairQueue(changed, review_order(changed)).leanings
    numbers = dict(zip(tables.clusters["listing"], tables.clusters["cluster_id"], strict=True))
    assert set(leanings) == {6}
    leaning = leanings[6]
    assert (leaning.cluster, leaning.toward.listing) == (numbers[0], 0)
    assert (leaning.probability, leaning.inside) == pytest.approx((0.9, 0.4))


def test_where_every_picture_is_nearest_to_its_own_nothing_leans(queue):
    assert queue.leanings == {}


def test_of_pictures_that_match_nothing_only_the_next_one_is_prepared(tables, monkeypatch):
    """Listings 3 and 4 are likely one product, and 3 is a little like listing 2."""
    clusters = tables.clusters.copy()
    alone = clusters["listing"].isin([3, 4])
    clusters.loc[alone, ["cluster_id", "cluster_size", "status"]] = [-1, 1, "no_match"]
    changed = type(tables)(**{**vars(tables), "clusters": clusters})
    queue = PairQueue(changed, review_order(changed))
    prepared = []
    prepare = queue._question
    monkeypatch.setattr(queue, "_question", lambda pair: prepared.append(pair) or prepare(pair))
    waiting = queue.unmatched([])
    assert waiting.left == 2 and len(prepared) == len(waiting.places)
    assert len({one.first.listing for one in waiting.places}) == 1
    assert ends(waiting.places[0]) == {3, 4}
    apart = queue.unmatched(said(("different", waiting.places[0])))
    assert [ends(one) for one in apart.places] == [{3, 2}] and apart.left == 1
