"""Rejected pictures and how a person brings one back."""

import re

import pytest

from clustering_pipeline.core.manifests import MANIFESTS
from clustering_pipeline_tests.web import home

PAGE = f"/c/{home.SLUG}/rejected"
REJECTED = 6


@pytest.fixture
def shown(client, project):
    """A client of a category one of whose pictures was rejected."""
    clusters = project.manifests.read("clusters", home.SLUG)
    place = clusters["listing"] == REJECTED
    clusters.loc[place, ["status", "reason"]] = ["rejected", "The picture is too <dark>."]
    clusters.loc[place, ["cluster_id", "cluster_size", "confidence"]] = None
    project.manifests.write("clusters", home.SLUG, clusters, MANIFESTS["clusters"])
    return client


def press(client, path):
    secret = re.search(r'name="secret" value="([^"]+)"', client.get(PAGE).text).group(1)
    return client.post(f"{PAGE}/{path}", data={"secret": secret})


def stated(client):
    return [
        (row["kind"], row["id_a"])
        for row in client.get(f"/api/categories/{home.SLUG}/corrections").json()
    ]


def test_a_rejected_picture_is_shown_with_its_reason(shown):
    page = shown.get(PAGE).text
    assert "too &lt;dark&gt;" in page and f"pictures/{REJECTED}.jpg" in page
    assert "Keep this picture" in page


def test_keeping_one_is_recorded_once_and_undone(shown):
    press(shown, REJECTED)
    again = press(shown, REJECTED)
    assert len(stated(shown)) == 1 and stated(shown)[0][0] == "keep"
    assert "kept after all" in again.text and "Keep this picture" not in again.text
    assert "Keep this picture" in press(shown, f"{REJECTED}/undo").text
    assert stated(shown) == []


def test_without_the_secret_nothing_is_recorded(shown):
    assert shown.post(f"{PAGE}/{REJECTED}", data={"secret": "guess"}).status_code == 403
    assert stated(shown) == []
