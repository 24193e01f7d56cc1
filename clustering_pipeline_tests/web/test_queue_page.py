"""The page of questions, with a script and without one."""

import re

import pytest

from clustering_pipeline.core.corrections import Different, Same, Unsure
from clustering_pipeline.core.manifests import CLUSTERS
from clustering_pipeline.review import Signature, actions
from clustering_pipeline.web.category_cache import Library
from clustering_pipeline_tests.web import home

BASE = f"/c/{home.SLUG}/queue"
JSON = {"accept": "application/json"}


def secret_of(client):
    return re.search(r'name="secret" value="([^"]+)"', client.get(BASE).text).group(1)


def field(page, name):
    return re.search(rf'name="{name}" value="(\d+)"', page).group(1)


def answer(client, kind, headers=None, **others):
    page = client.get(BASE).text
    data = {"secret": secret_of(client), "a": field(page, "a"), "b": field(page, "b"), "kind": kind}
    return client.post(BASE, data={**data, **others}, headers=headers or {})


def test_a_question_shows_both_pictures_with_their_points(reader):
    page = reader.get(BASE).text
    assert page.count("<image href=") == 2
    assert "Do these two show the same product?" in page


@pytest.mark.parametrize(
    ("kind", "statement"), [("same", Same), ("different", Different), ("unsure", Unsure)]
)
def test_an_answer_is_one_statement_and_undone_as_one(client, project, kind, statement):
    first = client.get(BASE).text
    numbers = answer(client, kind, JSON).json()["numbers"]
    (recorded,) = project.corrections.in_force(home.SLUG)
    assert [recorded.number] == numbers and isinstance(recorded.statement, statement)
    assert field(client.get(BASE).text, "a") + field(client.get(BASE).text, "b") != field(
        first, "a"
    ) + field(first, "b")
    undone = client.post(
        f"{BASE}/undo", data={"secret": secret_of(client), "numbers": str(numbers[0])}, headers=JSON
    )
    assert undone.status_code == 200
    assert project.corrections.in_force(home.SLUG) == []
    assert field(client.get(BASE).text, "a") == field(first, "a")


def test_without_a_script_the_next_question_comes_with_a_way_back(client):
    page = answer(client, "same").text
    assert 'name="numbers" value="1"' in page and "<image" in page


def test_the_next_questions_come_ahead_and_are_others(client):
    ahead = client.get(f"{BASE}/next?count=4").json()
    assert len({one["key"] for one in ahead}) == 4
    assert all("<image" in one["html"] for one in ahead)


def test_answers_tell_precision_and_recall(client):
    assert "after some answers" in client.get(f"{BASE}/standing").text
    for _ in range(6):
        answer(client, "same", JSON)
    told = client.get(f"{BASE}/standing").text
    assert "precision" in told and "±" in told and "Answers so far: 6" in told


def test_who_answers_is_remembered_by_the_browser(client, project):
    client.post("/you", data={"secret": secret_of(client), "name": "Nguyễn Minh"})
    answer(client, "same", JSON)
    assert project.corrections.in_force(home.SLUG)[0].correction.author == "Nguyễn Minh"


def test_everything_answered_says_so(client, project):
    by = Signature("lan", home.SLUG)
    queue = Library(project).category(home.SLUG).queue
    for one in queue.questions([], "lan", 1000):
        project.corrections.add(actions.unsure(one.first, one.second, by))
    assert "Nothing left to ask" in client.get(BASE).text


def test_an_answer_from_elsewhere_is_refused(client):
    data = {"secret": "wrong", "a": 0, "b": 1, "kind": "same"}
    assert client.post(BASE, data=data).status_code == 403


def test_the_history_names_what_nobody_could_tell(client):
    answer(client, "unsure", JSON)
    assert "not sure" in client.get(f"/c/{home.SLUG}/corrections").text


NOWHERE = f"/c/{home.SLUG}/unmatched"


@pytest.fixture
def lonely(project):
    """A listing that the clusters left alone although its pictures are like others."""
    clusters = project.manifests.read("clusters", home.SLUG)
    clusters.loc[[0], ["cluster_id", "cluster_size", "status"]] = [-1, 1, "no_match"]
    project.manifests.write("clusters", home.SLUG, clusters, CLUSTERS)
    return 0


def place(client, kind):
    page = client.get(NOWHERE).text
    near = re.findall(r'name="near" value="(\d+)"', page)
    data = {"secret": secret_of(client), "listing": field(page, "listing"), "near": near}
    return near, client.post(NOWHERE, data={**data, "kind": near[0] if kind == "1" else kind})


def test_a_listing_that_matches_nothing_is_put_beside_what_it_is_nearest_to(
    lonely, client, project
):
    page = client.get(NOWHERE).text
    assert field(page, "listing") == str(lonely) and 1 <= page.count('class="card place"') <= 3
    near, reply = place(client, "1")
    (recorded,) = project.corrections.in_force(home.SLUG)
    assert recorded.statement.kind == "same"
    assert int(near[0]) in range(1, home.SELLERS)
    assert "Nothing is left here" in reply.text
    client.post(
        f"{BASE}/undo", data={"secret": secret_of(client), "numbers": "1", "back": "unmatched"}
    )
    assert field(client.get(NOWHERE).text, "listing") == str(lonely)


def test_none_of_the_places_is_said_of_each_and_not_asked_again(lonely, client, project):
    near, reply = place(client, "none")
    said = project.corrections.in_force(home.SLUG)
    assert [one.statement.kind for one in said] == ["different"] * len(near)
    assert not set(near) & set(re.findall(r'name="near" value="(\d+)"', reply.text))
