"""What a person should look at first, and titles that are not together."""

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.cli.demo import run_demo
from clustering_pipeline.cli.terminal import Terminal
from clustering_pipeline.core.corrections import (
    Correction,
    Different,
    ListingReference,
    Same,
    as_row,
)
from clustering_pipeline.core.manifests import CORRECTIONS, conform
from clustering_pipeline.outputs.report import (
    Answers,
    Link,
    neighbouring_clusters,
    read_listings,
    review_order,
    same_titles,
    weakest_links,
)
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.web.category_cache import Library
from clustering_pipeline_tests.outputs.report import samples


def link(a, b, weight):
    return Link(a, b, None, None, None, None, None, None, None, None, weight)


def test_the_cluster_with_the_weakest_link_comes_first(tmp_path):
    order = review_order(samples.tables(samples.context(tmp_path)))
    assert [cluster.cluster_id for cluster in order] == [3, 2, 1]
    assert order[0].doubt == 1 - 0.35


def test_the_weakest_link_is_the_bottleneck_of_the_tree_not_the_lightest_pair():
    clusters_of = {crop: {1} for crop in "abc"}
    links = [link("a", "b", 5.0), link("b", "c", 3.0), link("a", "c", 1.0)]
    assert [item.weight for item in weakest_links(links, clusters_of)[1]] == [3.0, 5.0]


def test_without_matches_the_doubt_comes_from_the_confidence(tmp_path):
    order = review_order(samples.tables(samples.context(tmp_path), with_matches=False))
    assert {round(cluster.doubt, 6) for cluster in order} == {0.1}
    assert all(cluster.weakest is None for cluster in order)


def test_a_link_between_clusters_makes_them_neighbours(tmp_path):
    order = {
        cluster.cluster_id: cluster
        for cluster in review_order(samples.tables(samples.context(tmp_path)))
    }
    assert [number for number, _ in order[1].neighbours] == [2]
    assert [number for number, _ in order[2].neighbours] == [1]


def test_the_representative_is_the_first_listing(tmp_path):
    assert all(
        cluster.representative.is_representative
        for cluster in review_order(samples.tables(samples.context(tmp_path)))
    )


def test_a_cluster_has_its_own_name_or_its_representative_s_title(tmp_path):
    names = {
        cluster.cluster_id: cluster.name
        for cluster in review_order(samples.tables(samples.context(tmp_path)))
    }
    assert names[1] == "Kem chống nắng A" and names[2] == "Sữa rửa mặt B"


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef"), st.floats(0.1, 9)),
        max_size=20,
    )
)
def test_removing_all_lighter_links_keeps_a_cluster_together(triples):
    links = sorted(
        (link(a, b, weight) for a, b, weight in triples if a != b), key=lambda item: -item.weight
    )
    tree = weakest_links(links, {crop: {7} for crop in "abcdef"}).get(7)
    kept = [item for item in links if tree and item.weight >= tree[0].weight]
    assert components(kept) == components(links)


def components(links):
    groups = {letter: {letter} for letter in "abcdef"}
    for item in links:
        joined = groups[item.crop_a] | groups[item.crop_b]
        for letter in joined:
            groups[letter] = joined
    return {frozenset(group) for group in groups.values()}


def test_neighbours_are_listed_by_their_heaviest_match():
    clusters_of = {"a": {1}, "b": {2}, "c": {3}}
    found = neighbouring_clusters([link("a", "c", 4.0), link("a", "b", 2.0)], clusters_of)
    assert [number for number, _ in found[1]] == [3, 2]


def parted(tmp_path):
    """The sample category with the pictures of cluster 2 in cluster 1 too, as where titles part
    the listings of one picture: listing 3's keeper is listing 0's, listing 4's is listing 2's.
    """
    tables = samples.tables(samples.context(tmp_path))
    clusters = tables.clusters.set_index("listing")
    clusters.loc[3, ["crop_sha256", "keeper"]] = clusters.loc[0, ["crop_sha256", "keeper"]]
    clusters.loc[4, ["crop_sha256", "keeper"]] = clusters.loc[2, ["crop_sha256", "keeper"]]
    return replace(tables, clusters=clusters.reset_index())


def wrong_pairs(clusters):
    """The pairs that are asked about with a listing that is not in the cluster it stands for."""
    held = {cluster.cluster_id: set(cluster.listings) for cluster in clusters}
    asked = [
        (cluster.cluster_id, other, pair)
        for cluster in clusters
        for other, pair in [
            *((cluster.cluster_id, link) for link in cluster.links),
            *cluster.neighbours,
        ]
    ]
    return asked, [
        (number, other, pair)
        for number, other, pair in asked
        if pair.first not in held[number] or pair.second not in held[other]
    ]


def test_a_keeper_in_two_clusters_is_asked_about_with_each_one_s_own_listings(tmp_path):
    clusters = {cluster.cluster_id: cluster for cluster in review_order(parted(tmp_path))}
    for number in (1, 2):
        assert clusters[number].weakest is not None
        assert {
            clusters[number].weakest.first.cluster_id,
            clusters[number].weakest.second.cluster_id,
        } == {number}
    assert clusters[1].neighbours == clusters[2].neighbours == ()
    asked, wrong = wrong_pairs(clusters.values())
    assert asked and not wrong


def parted_everywhere(tables):
    """The tables with every second listing of a shared picture in a cluster of its own kind, as
    where every title contradicted.
    """
    clusters = tables.clusters.copy()
    grouped = clusters["cluster_id"].fillna(-1) > 0
    again = clusters[grouped].groupby(["cluster_id", "keeper"]).cumcount() % 2 == 1
    moved = again[again].index
    clusters.loc[moved, "cluster_id"] += int(clusters["cluster_id"].max())
    return replace(tables, clusters=clusters)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_wrong_pair_is_asked_about_in_the_category_of_demo(tmp_path):
    run_demo(tmp_path, products=44, seed=0, terminal=Terminal())
    library = Library(Project(PipelineHome(tmp_path / "home")))
    [slug] = library.slugs()
    tables = library.category(slug).tables
    for clusters in (review_order(tables), review_order(parted_everywhere(tables))):
        asked, wrong = wrong_pairs(clusters)
        assert len(asked) > 100 and not wrong


def said(tables, *statements):
    rows = [
        {"number": number, **as_row(Correction(statement, "lan", time="2026-01-01T00:00:00"))}
        for number, statement in enumerate(statements, start=1)
    ]
    frame = pd.DataFrame(rows)[CORRECTIONS.schema.names]
    return replace(tables, corrections=conform(frame, CORRECTIONS))


def test_what_a_person_answered_is_not_asked_again(tmp_path):
    tables = samples.tables(samples.context(tmp_path))
    clusters = {cluster.cluster_id: cluster for cluster in review_order(tables)}
    assert clusters[3].links and clusters[1].neighbours
    five, six = ListingReference("P005"), ListingReference("P006")
    apart = Different(ListingReference("P000"), ListingReference("P004"))
    answered = review_order(said(tables, Same(five, six), apart))
    clusters = {cluster.cluster_id: cluster for cluster in answered}
    assert clusters[3].links == () and clusters[3].doubt == 0
    assert clusters[1].neighbours == clusters[2].neighbours == ()


def test_what_follows_from_several_answers_is_answered(tmp_path):
    tables = samples.tables(samples.context(tmp_path))
    listings = read_listings(tables)
    zero, one, two, three = (ListingReference(f"P00{number}") for number in range(4))
    answers = Answers([Same(zero, one), Same(one, two), Different(three, zero)], listings)
    assert answers.settle(listings[0], listings[2]) and answers.settle(listings[2], listings[3])
    assert not answers.settle(listings[0], listings[4])


def test_a_listing_is_named_by_its_own_file_where_two_files_hold_the_same_pixels(tmp_path):
    tables = samples.tables(samples.context(tmp_path))
    crops = tables.crops.copy()
    crops.loc[1, "crop_sha256"] = crops.loc[0, "crop_sha256"]
    clusters = tables.clusters.copy()
    clusters.loc[clusters["listing"] == 1, "crop_sha256"] = crops.loc[0, "crop_sha256"]
    listings = read_listings(replace(tables, crops=crops, clusters=clusters))
    held = tables.raw_images.set_index("listing")["image_sha256"]
    assert [item.image_sha256 for item in listings[:2]] == [held[0], held[1]]


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
