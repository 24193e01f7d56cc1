import pandas as pd

from clustering_pipeline.core.duplicates import keepers, linked, perceptual_keepers


def clean(*rows):
    return pd.DataFrame(rows, columns=["crop_sha256", "status", "keeper"], dtype=object)


def semantic(*rows):
    return pd.DataFrame(rows, columns=["crop_sha256", "keeper", "reason"], dtype=object)


CLEAN = clean(
    ("a", "kept", "a"),
    ("b", "duplicate", "a"),
    ("c", "kept", None),
    ("d", "duplicate", "c"),
    ("e", "rejected", None),
)


def standing(frame):
    return {
        row.crop_sha256: (row.keeper, row.relation, row.too_alike) for row in frame.itertuples()
    }


def test_a_perceptual_duplicate_follows_its_keeper_to_the_semantic_one():
    frame = keepers(CLEAN, semantic(("a", "a", None), ("c", "a", None)))
    assert standing(frame) == {
        "a": ("a", "", None),
        "b": ("a", "duplicate", None),
        "c": ("a", "semantic duplicate", None),
        "d": ("a", "semantic duplicate", None),
    }


def test_who_is_rejected_for_being_too_alike_stands_for_nothing_and_nothing_for_it():
    frame = keepers(CLEAN, semantic(("c", "a", "too alike")))
    assert standing(frame)["c"] == standing(frame)["d"] == (None, "semantic duplicate", "too alike")


def test_keepers_that_name_each_other_end():
    assert set(
        perceptual_keepers(clean(("a", "duplicate", "b"), ("b", "duplicate", "a"))).values()
    ) <= {"a", "b"}


def test_linked_are_those_with_another_keeper():
    assert linked(semantic(("a", "a", None), ("c", "a", None)))["crop_sha256"].tolist() == ["c"]
