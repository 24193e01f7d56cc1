import pytest

from clustering_pipeline.matching.text_evidence import substitution


def words(title):
    return frozenset(title.split())


@pytest.mark.parametrize(
    ("first", "second", "contradiction"),
    [
        ("kem duong lumora sunny leaf ban ngay", "kem duong lumora sunny leaf ban dem", "ngay / dem"),
        ("mat na greenko silk touch mat ong", "mat na greenko silk touch ngoc trai", "ong / ngoc trai"),
        ("kem duong lumora sunny leaf", "kem duong lumora sunny leaf freeship", None),
        ("kem duong lumora sunny leaf", "kem duong lumora suny leaf", None),
        ("kem lumora", "serum lumora", None),
    ],
)
def test_titles_that_replace_a_word(first, second, contradiction):
    assert substitution(words(first), words(second)) == contradiction


def test_titles_of_other_shops_differ_in_more_than_a_word():
    first = words("kem duong lumora sunny leaf chinh hang gia re")
    assert substitution(first, words("kem duong lumora sunny leaf nhap khau cao cap tu my")) is None
