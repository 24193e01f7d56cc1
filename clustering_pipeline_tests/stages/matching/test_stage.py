"""The whole stage on drawn photographs: which pairs match, why, and that nothing depends on the
order of rows.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.stages import Picture, PreparedSet
from clustering_pipeline.settings import ClusterSettings, MatchSettings
from clustering_pipeline.synthetic import draw_products, draw_sellers, encode_jpeg, photograph

PRINT_ONLY = MatchSettings(text=False)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three photographs by different sellers of each of three unrelated products; the first
    product's titles name two sizes.
    """
    folder, sellers = tmp_path_factory.mktemp("pictures"), draw_sellers(3, 9)
    drawn = []
    for product in draw_products(12, seed=9)[::4]:
        for number, seller in enumerate(sellers):
            path = folder / f"{product.number:02d}-{number}.jpg"
            path.write_bytes(
                encode_jpeg(photograph(product, seller, 10 * product.number + number), 85)
            )
            title = (
                f"Kem dưỡng Lumora Gold ban ngày {50 + 50 * (number == 2)} ml"
                if product.number == 0
                else None
            )
            drawn.append(Picture(path, str(product.number), title))
    return drawn


@pytest.fixture(scope="module")
def prepared(pictures, tmp_path_factory):
    return PreparedSet(pictures, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def matches(prepared):
    return prepared.match(PRINT_ONLY)


def test_photographs_of_one_product_match_and_others_do_not(prepared, matches):
    clusters = prepared.group(
        prepared.match(PRINT_ONLY, titles=False), ClusterSettings(), titles=False
    )
    scores = prepared.scores(clusters)
    assert scores["bcubed_precision"] == 1
    assert scores["bcubed_recall"] > 0.6
    assert (matches["weight"] > 0).any()


def test_every_accepted_pair_says_why(matches):
    accepted = matches[matches["weight"] > 0]
    assert (
        (accepted["inliers"] >= PRINT_ONLY.verification.smallest)
        | (accepted["shape_similarity"] > 0)
    ).all()
    assert accepted["probability"].between(0, 1, inclusive="neither").all()
    assert accepted["reasons"].str.contains("print|look|colours|copies|crowd|alignment").all()
    refused = matches[matches["weight"] == 0]
    assert refused["probability"].max() < accepted["probability"].min()
    assert refused["reasons"].isna().all()


def test_titles_of_two_sizes_contradict_each_other(prepared, matches):
    said = matches[matches["number_conflict"].notna()]
    assert set(said["number_conflict"]) <= {"50 ml / 100 ml", "100 ml / 50 ml"}
    assert (said.loc[said["inliers"] > 0, "contradiction"] > 0).all()
    unsaid = prepared.match(PRINT_ONLY, titles=False).set_index(["crop_a", "crop_b"])["weight"]
    assert (
        said.set_index(["crop_a", "crop_b"])["weight"]
        < unsaid.reindex(pd.MultiIndex.from_frame(said[["crop_a", "crop_b"]]))
    ).any()


def test_a_veto_refuses_what_titles_contradict(prepared):
    vetoed = prepared.match(MatchSettings(text=False, number_conflict="veto"))
    assert (vetoed.loc[vetoed["number_conflict"].notna(), "weight"] == 0).all()


def test_words_of_ones_own_tell_products_apart(prepared, matches):
    own = {"kind": {"small pot": ["50 ml"], "large pot": ["100 ml"]}}
    told = prepared.match(MatchSettings(text=False, attributes=own))
    pair = ["crop_a", "crop_b"]
    both = matches.set_index(pair)["probability"], told.set_index(pair)["probability"]
    sizes_differ = matches.set_index(pair)["number_conflict"].notna()
    without, within = (probability[sizes_differ] for probability in both)
    assert len(within) and (within < without).all()


def test_shuffled_rows_give_the_same_matches_clusters_and_numbers(
    pictures, prepared, matches, tmp_path
):
    order = np.random.default_rng(1).permutation(len(pictures))
    shuffled = PreparedSet([pictures[index] for index in order], tmp_path)
    again = shuffled.match(PRINT_ONLY)
    pd.testing.assert_frame_equal(again, matches)
    np.testing.assert_array_equal(
        shuffled.group(again, ClusterSettings(no_match="singleton")),
        prepared.group(matches, ClusterSettings(no_match="singleton"))[order],
    )


def test_switched_off_there_are_no_matches(prepared):
    assert prepared.match(MatchSettings(enabled=False)).empty


@pytest.mark.parametrize(
    ("bundles", "contradictions"),
    [("apart", {"1 pack / 2 packs", "2 packs / 1 pack"}), ("join", set())],
)
def test_a_bundle_is_another_product_unless_a_setting_joins_them(
    pictures, tmp_path, bundles, contradictions
):
    title = "kem dưỡng Lumora Gold ban ngày 50 ml"
    titled = [
        replace(picture, title=f"Combo 2 {title}" if number else title)
        for number, picture in enumerate(pictures[:3])
    ]
    matches = PreparedSet(titled, tmp_path).match(MatchSettings(text=False, bundles=bundles))
    assert set(matches["number_conflict"].dropna()) <= contradictions
    assert matches["number_conflict"].notna().any() == bool(contradictions)
