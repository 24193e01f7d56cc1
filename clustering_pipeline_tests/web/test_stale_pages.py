"""Pages that were opened, and answers that programs read, before the listings or the clusters
changed: nothing that is said of them is taken for a statement about others.
"""

import re

import httpx
import pytest

from clustering_pipeline.core.manifests import MANIFESTS
from clustering_pipeline.review import Signature, actions
from clustering_pipeline.web.category_cache import Library
from clustering_pipeline_tests.web import home

BASE = f"/c/{home.SLUG}"
LAST = home.PRODUCTS * home.SELLERS - 1
API = f"/api/categories/{home.SLUG}"
CHANGED = "changed since the page was opened"


@pytest.fixture
def browser(address):
    with httpx.Client(base_url=address, follow_redirects=True) as client:
        yield client


def secret_on(browser, page):
    return re.search(r'name="secret" value="([^"]+)"', browser.get(f"{BASE}/{page}").text)[1]


def sort_workbook(project):
    """Turn the rows of the workbook around, as after a run of the sorted one."""
    for name, manifest in MANIFESTS.items():
        frame = project.manifests.read(name, home.SLUG)
        if frame is not None and "listing" in frame:
            frame["listing"] = LAST - frame["listing"]
            frame = frame.sort_values("listing", kind="stable")
            project.manifests.write(name, home.SLUG, frame, manifest)


def a_cluster(project):
    """A cluster with several pictures, of which the second can be taken out."""
    clusters = Library(project).category(home.SLUG).clusters
    return next(one for one in clusters if len(one.pictures) > 2)


def actions_of(project):
    """What a person may do: the page that it is done on, or one with the same stamp where that has
    no form here, the address and the fields.
    """
    cluster = a_cluster(project)
    first, second = (one.listing for one in cluster.pictures[:2])
    review = f"review/{cluster.cluster_id}"
    return [
        ("queue", "queue", {"a": first, "b": second, "kind": "same"}),
        ("queue", "unmatched", {"listing": first, "near": second, "kind": "none"}),
        ("map", "map", {"act": "each", "listings": str(second)}),
        ("queue", f"rejected/{first}", {}),
        (review, f"{review}/split", {"listing": second}),
    ]


@pytest.mark.parametrize("which", range(5))
def test_rows_that_moved_get_no_answer_that_was_given_to_others(browser, project, which):
    page, path, data = actions_of(project)[which]
    seen = secret_on(browser, page)
    sort_workbook(project)
    answer = browser.post(f"{BASE}/{path}", data={"secret": seen, **data})
    assert answer.status_code == 400 and CHANGED in answer.text
    assert project.corrections.history() == []
    page, path, data = actions_of(project)[which]
    fresh = secret_on(browser, page)
    assert browser.post(f"{BASE}/{path}", data={"secret": fresh, **data}).status_code == 200
    assert project.corrections.history()


@pytest.mark.parametrize("act", ["split", "looked"])
def test_a_cluster_that_changed_is_looked_at_again(browser, project, act):
    cluster = a_cluster(project)
    number, second = cluster.cluster_id, cluster.pictures[1]
    seen = secret_on(browser, f"review/{number}")
    by = Signature("minh", home.SLUG)
    project.corrections.add(actions.split(cluster, [second], by))
    home.group_again(project)
    said = len(project.corrections.history())
    data = {"secret": seen, "listing": [one.listing for one in cluster.pictures[1:3]]}
    answer = browser.post(f"{BASE}/review/{number}/{act}", data=data)
    assert answer.status_code == 400 and CHANGED in answer.text
    assert len(project.corrections.history()) == said
    library = Library(project)
    assert not library.progress.looked_at(home.SLUG, library.category(home.SLUG).clusters)


def test_an_answer_stands_although_the_clusters_changed_meanwhile(browser, project):
    """Two listings are one product or two whatever cluster they are in."""
    page, path, data = actions_of(project)[0]
    seen = secret_on(browser, page)
    cluster = a_cluster(project)
    project.corrections.add(
        actions.split(cluster, [cluster.pictures[1]], Signature("minh", home.SLUG))
    )
    home.group_again(project)
    said = len(project.corrections.history())
    assert browser.post(f"{BASE}/{path}", data={"secret": seen, **data}).status_code == 200
    assert len(project.corrections.history()) == said + 1


def acts_of_a_program(project):
    """A statement of each kind."""
    cluster = a_cluster(project)
    number, (first, second) = cluster.cluster_id, (one.listing for one in cluster.pictures[:2])
    target = next(
        one.cluster_id for one in Library(project).category(home.SLUG).clusters if one != cluster
    )
    pair = {"listing_a": first, "listing_b": second}
    return [
        {"kind": "same", **pair},
        {"kind": "different", **pair},
        {"kind": "name", "cluster_id": number, "name": "Blue"},
        {"kind": "merge", "cluster_id": number, "target": target},
        {"kind": "split", "cluster_id": number, "listings": [second]},
        {"kind": "move", "cluster_id": number, "listings": [second], "target": target},
    ]


def revisions(client):
    """What the answers with listings say that they are of."""
    found = client.post(f"{API}/search", data={"words": "P006"})
    of_clusters = [client.get(f"{API}/clusters"), client.get(f"{API}/clusters/1")]
    return [one.json()["revision"] for one in [*of_clusters, found]] + [
        client.get("/api/categories").json()[0]["revision"]
    ]


def test_what_a_program_says_of_listings_that_moved_is_refused(client, project):
    (read,) = set(revisions(client))
    sort_workbook(project)
    for act in acts_of_a_program(project):
        answer = client.post(f"{API}/corrections", json={**act, "revision": read})
        assert (
            answer.status_code == 409 and "changed since they were read" in answer.json()["error"]
        )
    assert project.corrections.history() == []
    now, _, of_older_index, _ = revisions(client)
    for act in acts_of_a_program(project):
        older = client.post(f"{API}/corrections", json={**act, "revision": of_older_index})
        assert older.status_code == 409
        for revision in ({"revision": now}, {}):
            assert client.post(f"{API}/corrections", json={**act, **revision}).status_code == 201


def test_a_program_that_read_other_clusters_may_still_speak_of_pairs(client, project):
    read, *_ = revisions(client)
    acts = acts_of_a_program(project)
    cluster = a_cluster(project)
    project.corrections.add(
        actions.split(cluster, [cluster.pictures[-1]], Signature("minh", home.SLUG))
    )
    home.group_again(project)
    answers = [
        client.post(f"{API}/corrections", json={**act, "revision": read}).status_code
        for act in acts
    ]
    assert answers == [201, 201, 409, 409, 409, 409]
