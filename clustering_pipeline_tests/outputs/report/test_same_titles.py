from dataclasses import replace

from clustering_pipeline.core.corrections import Different, ListingReference
from clustering_pipeline.outputs.report import Answers, read_listings, same_titles
from clustering_pipeline_tests.outputs.report import samples


def retitled(tmp_path, titles):
    """The listings of the sample category with other titles, by number."""
    listings = read_listings(samples.tables(samples.context(tmp_path)))
    return [replace(item, title=titles.get(item.listing, item.title)) for item in listings]


def test_equal_titles_in_two_clusters_or_in_one_and_in_none_are_listed(tmp_path):
    titles = {0: "Kem ABC, 50 ml", 1: "KEM ABC 50 ml", 3: "kem abc 50 ml ", 7: "Kem abc 50 ml"}
    listings = retitled(tmp_path, titles)
    [found] = same_titles(listings, Answers([], listings))
    assert [[item.listing for item in place] for place in found.places] == [[0, 1], [3], [7]]
    assert found.clusters == {1, 2}


def test_equal_titles_of_one_cluster_and_of_listings_without_a_picture_are_not(tmp_path):
    listings = retitled(tmp_path, {0: "Kem", 1: "Kem", 8: "Kem", 9: "Kem", 5: "", 3: ""})
    assert same_titles(listings, Answers([], listings)) == []


def test_titles_that_differ_in_an_accent_are_two(tmp_path):
    listings = retitled(tmp_path, {0: "Nước dứa", 3: "Nước dừa"})
    assert same_titles(listings, Answers([], listings)) == []


def test_titles_that_people_have_spoken_of_are_not(tmp_path):
    listings = retitled(tmp_path, {0: "Kem", 3: "Kem"})
    apart = Different(ListingReference("P000"), ListingReference("P003"))
    assert len(same_titles(listings, Answers([], listings))) == 1
    assert len(same_titles(listings, Answers([apart], listings))) == 0
