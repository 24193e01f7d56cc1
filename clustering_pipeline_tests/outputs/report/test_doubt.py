from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.outputs.report import (
    Link,
    neighbouring_clusters,
    review_order,
    weakest_links,
)
from clustering_pipeline_tests.outputs.report import samples


def link(a, b, weight):
    return Link(a, b, None, None, None, None, None, None, None, None, weight)


def test_the_cluster_with_the_weakest_link_comes_first(tmp_path):
    order = review_order(samples.tables(samples.context(tmp_path)))
    assert [cluster.cluster_id for cluster in order] == [3, 2, 1]
    assert order[0].doubt == 1 - 0.35


def test_the_weakest_link_is_the_bottleneck_of_the_tree_not_the_lightest_pair():
    cluster_of = dict.fromkeys("abc", 1)
    links = [link("a", "b", 5.0), link("b", "c", 3.0), link("a", "c", 1.0)]
    assert weakest_links(links, cluster_of)[1].weight == 3.0


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
    weakest = weakest_links(links, dict.fromkeys("abcdef", 7)).get(7)
    kept = [item for item in links if weakest and item.weight >= weakest.weight]
    assert components(kept) == components(links)


def components(links):
    groups = {letter: {letter} for letter in "abcdef"}
    for item in links:
        joined = groups[item.crop_a] | groups[item.crop_b]
        for letter in joined:
            groups[letter] = joined
    return {frozenset(group) for group in groups.values()}


def test_neighbours_are_listed_by_their_heaviest_match():
    cluster_of = {"a": 1, "b": 2, "c": 3}
    found = neighbouring_clusters([link("a", "c", 4.0), link("a", "b", 2.0)], cluster_of)
    assert [number for number, _ in found[1]] == [3, 2]
