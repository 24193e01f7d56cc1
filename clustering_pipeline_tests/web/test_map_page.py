"""The map: its points, and what is done to the pictures chosen on it."""

import re

import pytest

from clustering_pipeline_tests.web import home

BASE = f"/c/{home.SLUG}"


@pytest.fixture
def act(client):
    secret = re.search(r'name="secret" value="([^"]+)"', client.get(f"{BASE}/map").text)[1]

    def act(what, listings, text="", given=secret):
        values = {"secret": given, "act": what, "text": text}
        values["listings"] = ",".join(map(str, listings))
        return client.post(f"{BASE}/map", data=values)

    return act


@pytest.fixture
def clusters(project):
    def clusters():
        frame = project.manifests.read("clusters", home.SLUG).set_index("listing")
        return frame["cluster_id"].to_dict()

    return clusters


def members(numbers, listing):
    return {one for one, number in numbers.items() if number == numbers[listing]}


def test_every_picture_has_a_point_with_its_cluster_shop_and_price(reader):
    points = reader.get(f"{BASE}/map/points").json()
    count = home.PRODUCTS * home.SELLERS
    assert sorted(points["listing"]) == list(range(count)) and points["left_out"] == 0
    columns = ("x", "y", "title", "copies", "cluster", "confidence", "shop", "price")
    assert all(len(points[name]) == count for name in columns)
    assert all(0 <= x <= points["width"] for x in points["x"])
    at = points["listing"].index(0)
    assert points["shops"][points["shop"][at]] == "Shop 0 <b>" and points["price"][at] == 100_000
    assert points["currency"] == "VND"
    number = points["cluster"][at]
    assert points["clusters"][str(number)][1] == points["cluster"].count(number)


def test_ties_name_points_of_one_cluster_and_of_two(reader):
    points = reader.get(f"{BASE}/map/points").json()
    number = points["cluster"]
    assert points["within"]
    assert all(number[a] == number[b] >= 0 for _, a, b in points["within"])
    assert all(number[a] != number[b] or number[a] < 0 for _, a, b in points["between"])


def test_pictures_of_two_clusters_become_one_product_and_one_undo_takes_it_back(
    act, client, project, clusters
):
    first, second = members(clusters(), 0), members(clusters(), 19)
    answer = act("same", [0, 1, 19]).json()
    assert len(answer["numbers"]) == answer["pending"] == 2
    home.group_again(project)
    assert members(clusters(), 0) == first | second
    secret = re.search(r'name="secret" value="([^"]+)"', client.get(f"{BASE}/map").text)[1]
    numbers = ",".join(map(str, answer["numbers"]))
    headers = {"accept": "application/json"}
    client.post(f"{BASE}/queue/undo", data={"secret": secret, "numbers": numbers}, headers=headers)
    assert project.corrections.in_force(home.SLUG) == []


def test_what_is_chosen_in_two_clusters_is_split_off_together(act, project, clusters):
    before = clusters()
    assert act("together", [1, 17]).status_code == 200
    home.group_again(project)
    after = clusters()
    assert members(after, 1) == {1, 17}
    for listing in (0, 16):
        assert members(after, listing) == members(before, listing) - {1, 17}


def test_what_is_chosen_is_split_off_each_on_its_own(act, project, clusters):
    act("each", [16, 17])
    home.group_again(project)
    after = clusters()
    assert after[16] == after[17] == -1


def test_what_is_chosen_moves_by_name_or_number(act, project, clusters):
    before = clusters()
    assert act("move", [16, 17], str(before[0])).status_code == 200
    home.group_again(project)
    assert members(clusters(), 0) == members(before, 0) | {16, 17}


def test_the_cluster_of_what_is_chosen_is_named(act, client, project, clusters):
    number = clusters()[0]
    act("name", [0, 1], " Kem A ")
    home.group_again(project)
    assert "Kem A" in client.get(f"{BASE}/review/{number}").text


@pytest.mark.parametrize(
    ("what", "listings", "text", "status", "said"),
    [
        ("same", [0], "", 400, "at least two"),
        ("same", [], "", 400, "first"),
        ("same", [0, 999], "", 400, "changed"),
        ("same", range(1001), "", 400, "at most 1,000"),
        ("move", [0], "no such name", 404, "no cluster called"),
        ("name", [0, 16], "Kem", 400, "one cluster"),
        ("name", [0], " ", 400, "Type a name"),
    ],
)
def test_what_makes_no_sense_is_said_and_not_recorded(
    act, project, what, listings, text, status, said
):
    answer = act(what, listings, text)
    assert answer.status_code == status and said in answer.json()["error"]
    assert project.corrections.in_force(home.SLUG) == []


def test_a_whole_cluster_is_not_split_off_from_nothing(act, clusters):
    answer = act("together", members(clusters(), 0))
    assert answer.status_code == 400 and "leave at least one" in answer.json()["error"]


def test_a_form_without_our_secret_is_refused(act, project):
    assert act("same", [0, 1], given="x").status_code == 403
    assert project.corrections.in_force(home.SLUG) == []


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 16, "-1", "²"])
def test_numbers_that_are_none_are_refused_in_words(act, number):
    answer = act("same", [0, number])
    assert answer.status_code == 400 and "map" in answer.json()["error"]


def test_a_cluster_of_thousands_of_digits_is_not_there(act, client):
    assert act("move", [0], "9" * 390).status_code == 404
    slow = client.post(f"{BASE}/map", headers={"content-length": "9" * 5000})
    assert slow.status_code in (400, 413)
