import pandas as pd
import pytest

from clustering_pipeline_tests.stages.cache import asked


def two_products(world):
    """Products a and b of three listings each, and one listing that matches nothing."""
    for product in "ab":
        for seller in "123":
            world.listing(product + seller, product + seller)
        world.match(f"{product}1", f"{product}2").match(f"{product}2", f"{product}3").match(
            f"{product}1", f"{product}3"
        )
    return world.listing("lone", "lone")


def test_matched_listings_share_a_cluster_and_others_say_why_not(world, context):
    two_products(world)
    world.listing("dead", error="The server answered 404.")
    world.listing("bad", usable=False, reason="The URL is empty.")
    world.listing("blurred", "blurred").reject("blurred", "The picture is blurred.")
    manifest = world.group(context).manifest.set_index("listing")
    assert (
        manifest["cluster_id"].iloc[:7].tolist() == [1, 1, 1, 2, 2, 2, -1]
        or manifest["cluster_id"].iloc[0] == 2
    )
    assert manifest["status"].tolist() == ["clustered"] * 6 + [
        "no_match",
        "download_failed",
        "invalid_row",
        "rejected",
    ]
    assert manifest["cluster_id"].iloc[7:].isna().all()
    assert manifest["reason"].iloc[7:].tolist() == [
        "The server answered 404.",
        "The URL is empty.",
        "The picture is blurred.",
    ]
    assert manifest["cluster_size"].iloc[:7].tolist() == [3] * 6 + [1]
    assert manifest.groupby("cluster_id")["is_representative"].sum().loc[[1, 2]].tolist() == [1, 1]


def test_duplicates_inherit_their_keepers_cluster(world, context):
    two_products(world).listing("copy", "copy").duplicate("copy", "a1").listing(
        "near", "near"
    ).semantic_duplicate("near", "copy")
    world.clean_images["near"]["status"] = "kept"
    clusters = world.clusters(context)
    assert clusters["copy"] == clusters["near"] == clusters["a1"]
    manifest = world.group(context).manifest
    assert manifest["reason"].iloc[7:].str.startswith("duplicate of a1").all()
    assert manifest["confidence"].iloc[7] > manifest["confidence"].iloc[1]


def test_listings_of_one_picture_are_a_cluster_even_without_matches(world, context):
    world.listing("x", "photo").listing("y", "photo").listing("z", "other")
    for method in ("graph", "dbscan", "components"):
        clusters = world.clusters(context, method=method, min_samples=5, eps=0.01, threshold=0.99)
        assert clusters == {"x": 1, "y": 1, "z": -1}


@pytest.mark.parametrize("method", ["graph", "dbscan", "components", "agglomerative", "kmeans"])
def test_listings_whose_pictures_have_one_keeper_are_a_cluster(world, context, method):
    world.listing("x", "photo").listing("y", "copy").listing("z", "near").listing(
        "v", "other"
    ).listing("w", "another")
    world.duplicate("copy", "photo").semantic_duplicate("near", "photo")
    clusters = world.clusters(context, method=method, min_samples=3, eps=0.01, threshold=0.99, k=3)
    assert clusters["x"] == clusters["y"] == clusters["z"] != -1
    assert clusters["x"] not in (clusters["v"], clusters["w"])


def test_what_is_rejected_for_being_too_alike_has_no_cluster(world, context):
    two_products(world).listing("near", "near").listing("copy", "copy").semantic_duplicate(
        "near", "a1"
    )
    world.semantic_duplicates[-1]["reason"] = "nearly the same picture as a1"
    manifest = world.duplicate("copy", "near").group(context).manifest
    assert manifest["status"].iloc[7:].tolist() == ["rejected", "rejected"]
    assert manifest["reason"].iloc[7:].tolist() == ["nearly the same picture as a1"] * 2
    assert manifest["cluster_id"].iloc[7:].isna().all()


def test_a_listing_without_any_picture_row_failed(world, context):
    world.listing("x")
    manifest = world.group(context).manifest
    assert manifest["status"].tolist() == ["download_failed"]
    assert manifest["reason"].str.contains("Run again").all()


def test_every_listing_has_one_row_whatever_the_methods_do(world, context):
    two_products(world).listing("several", "lone", "a1", "b1")
    for method in ("graph", "dbscan", "components"):
        manifest = world.group(context, method=method).manifest
        assert manifest["listing"].tolist() == list(range(8))


def test_no_match_can_be_a_cluster_of_its_own(world, context):
    two_products(world)
    manifest = world.group(context, no_match="singleton").manifest
    lone = manifest.iloc[6]
    assert (lone["status"], lone["cluster_size"], lone["cluster_id"]) == ("clustered", 1, 3)


@pytest.mark.parametrize("alone", ["keep", "singleton"])
def test_nobody_says_alone_of_a_listing_whose_title_another_has(world, context, alone):
    two_products(world).listing("one", "one", title="Kem Hada-Labo 50g")
    world.listing("two", "two", title="KEM HADA LABO, 50g").listing("three", "three", title="Son")
    reasons = world.group(context, no_match=alone).manifest["reason"].iloc[6:].tolist()
    assert reasons[0] == reasons[3] == "No other listing was found that shows this product."
    assert reasons[1] == reasons[2]
    assert reasons[1].endswith("other listings have the same title.")


def test_the_order_of_the_rows_changes_nothing(world, context, tmp_path):
    two_products(world).listing("copy", "a1").listing("copy", "b1").listing("copy", "new").match(
        "new", "a1", 0.9
    )

    def clusters(world, context):
        manifest = world.group(context).manifest
        identifiers = {row["listing"]: row["product_base_id"] for row in world.catalogue}
        return sorted(
            (identifiers[row.listing], row.crop_sha256, row.cluster_id)
            for row in manifest.itertuples()
        )

    expected = clusters(world, context)
    for seed in range(5):
        shuffled = world.shuffled(seed)
        fresh = type(context)(context.blobs, context.tables, tmp_path / f"state {seed}")
        assert clusters(shuffled, fresh) == expected
        assert clusters(shuffled, context) == expected


def test_the_grouping_is_computed_once(world, context):
    two_products(world)
    first = world.group(context)
    assert asked(context) == (0, 1)
    pd.testing.assert_frame_equal(first.manifest, world.group(context).manifest)
    assert asked(context) == (1, 0)
    world.group(context, trials=2)
    assert asked(context) == (0, 1)


def test_an_empty_category_has_an_empty_result(world, context):
    assert world.group(context).manifest.empty


class TestSamePhoto:
    def test_titles_that_contradict_part_it(self, world, context):
        for identifier, title in (
            ("a", "Sữa rửa mặt 50ml"),
            ("b", "Sữa rửa mặt 50 ml"),
            ("c", "SRM 100ml"),
            ("d", "SRM 100 ML"),
        ):
            world.listing(identifier, "photo", title=title)
        assert world.clusters(context) == {"a": 1, "b": 1, "c": 2, "d": 2}
        assert len(set(world.clusters(context, same_photo="join").values())) == 1

    def test_a_listing_without_numbers_stays_with_the_most(self, world, context):
        for identifier, title in (
            ("a", "Toner 50ml"),
            ("b", "Toner 50ml"),
            ("c", "Toner 100ml"),
            ("d", None),
            ("e", "Toner"),
        ):
            world.listing(identifier, "photo", title=title)
        assert world.clusters(context) == {"a": 1, "b": 1, "c": -1, "d": 1, "e": 1}

    def test_words_that_replace_each_other_part_near_duplicates_but_not_one_picture(
        self, world, context
    ):
        name = "Kem dưỡng Lumora Gold ban"
        for identifier, picture, variant in (
            ("a", "one", "ngày"),
            ("b", "one", "ngày"),
            ("c", "two", "đêm"),
            ("d", "two", "đêm"),
        ):
            world.listing(identifier, picture, title=f"{name} {variant}")
        world.duplicate("two", "one")
        assert world.clusters(context) == {"a": 1, "b": 1, "c": 2, "d": 2}
        world.listing("e", "one", title=f"{name} đêm")
        assert len(set(world.clusters(context).values())) == 1

    @pytest.mark.parametrize("method", ["graph", "dbscan", "components"])
    def test_neighbours_go_with_the_variant_that_they_agree_with(self, world, context, method):
        world.vectors = {"photo": [1, 0], "big": [1, 0.05], "bare": [1, 0.04]}
        world.listing("a", "photo", title="Toner 50ml").listing("b", "photo", title="Toner 50ml")
        world.listing("c", "photo", title="Toner 100ml").listing(
            "d", "big", title="Toner 100 ml"
        ).listing("e", "bare")
        world.match("photo", "big").match("photo", "bare")
        clusters = world.clusters(context, method=method)
        assert clusters["a"] == clusters["b"] == clusters["e"] != clusters["c"]
        if method == "graph":
            assert clusters["c"] == clusters["d"] != -1


class TestSeveralPictures:
    def test_a_listing_whose_first_picture_is_alone_goes_where_its_next_goes(self, world, context):
        two_products(world).listing("x", "unseen", "a1")
        clusters = world.clusters(context)
        assert clusters["x"] == clusters["a1"]

    def test_clusters_are_one_where_listings_agree(self, world, context):
        two_products(world).listing("x", "front x", "back x").listing(
            "y", "front y", "back y"
        ).listing("z", "back z")
        world.match("front x", "front y").match("back x", "back y").match("back x", "back z").match(
            "back y", "back z"
        )
        clusters = world.clusters(context)
        assert clusters["x"] == clusters["y"] == clusters["z"]

    def test_a_banner_in_many_listings_joins_none(self, world, context):
        two_products(world)
        for product in "ab":
            for seller in "45":
                world.listing(product + seller, product + seller, "banner").match(
                    product + seller, product + "1"
                )
        clusters = world.clusters(context)
        assert (
            clusters["a4"]
            == clusters["a5"]
            == clusters["a1"]
            != clusters["b1"]
            == clusters["b4"]
            == clusters["b5"]
        )


class TestCorrections:
    def test_same_joins_what_the_evidence_keeps_apart(self, world, context):
        clusters = two_products(world).correct("same", "lone", "a1").clusters(context)
        assert clusters["lone"] == clusters["a3"] != clusters["b1"]

    def test_same_joins_two_whole_clusters(self, world, context):
        assert (
            len(
                set(two_products(world).correct("same", "a1", "b2").clusters(context).values())
                - {-1}
            )
            == 1
        )

    def test_different_parts_what_the_evidence_joins(self, world, context):
        world.listing("x", "x").listing("y", "y").match("x", "y").correct("different", "x", "y")
        assert world.clusters(context) == {"x": -1, "y": -1}

    def test_different_cuts_a_cluster_at_its_weakest_links(self, world, context):
        two_products(world).match("a1", "b1", 5).match("a2", "b2", 5).match("a3", "b3", 2).match(
            "a1", "b2", 5
        )
        clusters = world.correct("different", "a3", "b3").clusters(context)
        assert clusters["a3"] != clusters["b3"]

    def test_different_parts_listings_of_one_photo(self, world, context):
        world.listing("x", "photo").listing("y", "photo").listing("z", "photo").correct(
            "different", "x", "y"
        )
        clusters = world.clusters(context)
        assert clusters["x"] != clusters["y"]
        assert clusters["z"] in (clusters["x"], clusters["y"])

    def test_a_listing_moved_elsewhere_moves_alone(self, world, context):
        two_products(world).match("a1", "a2", 6).correct("same", "a1", "b1").correct(
            "different", "a1", "a3"
        )
        clusters = world.clusters(context)
        assert clusters["a1"] == clusters["b1"] == clusters["b3"]
        assert clusters["a2"] == clusters["a3"] != clusters["a1"]

    def test_the_newest_of_two_contradicting_statements_counts(self, world, context):
        two_products(world).correct("same", "a1", "lone").correct("different", "a1", "lone")
        assert world.clusters(context)["lone"] == -1
        assert world.group(context).facts["corrections_contradicted"] == 1

    def test_a_picture_narrows_an_id_down(self, world, context):
        world.listing("x", "red").listing("x", "blue").listing("y", "y")
        image = world.raw_images[0]["image_sha256"]
        manifest = world.correct("same", "x", "y", image_a=image).group(context).manifest
        assert manifest["cluster_id"].tolist() == [1, -1, 1]

    def test_a_person_can_place_a_rejected_picture(self, world, context):
        two_products(world).reject("lone", "The picture is blurred.").correct("same", "lone", "a1")
        manifest = world.group(context).manifest
        assert manifest["status"].iloc[6] == "clustered"
        assert manifest["cluster_id"].iloc[6] == manifest["cluster_id"].iloc[0]

    def test_names_follow_the_number_and_unknown_ids_are_counted(self, world, context):
        two_products(world).correct("name", cluster_id=1, name="Sữa rửa mặt").correct(
            "same", "gone", "a1"
        )
        result = world.group(context)
        assert set(result.manifest.loc[result.manifest["cluster_id"] == 1, "cluster_name"]) == {
            "Sữa rửa mặt"
        }
        assert result.manifest.loc[result.manifest["cluster_id"] == 2, "cluster_name"].isna().all()
        assert result.facts["corrections_unresolved"] == 1
