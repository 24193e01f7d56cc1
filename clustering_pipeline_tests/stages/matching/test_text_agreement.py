import numpy as np

from clustering_pipeline.core.text import plain_letters, string_similarity
from clustering_pipeline.stages.matching.text_evidence import (
    AlignedText,
    legible_pack,
    ngram_vectors,
    pack_text,
    title_similarity,
)
from clustering_pipeline.stages.matching.text_evidence import align_text as align_packs
from clustering_pipeline.stages.matching.text_reader import TextLine, lines_from_json, lines_to_json

IDENTITY = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def line(text, x=0.1, y=0.1, confidence=0.95, width=0.5, height=0.1):
    quad = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float32)
    return TextLine(text, confidence, quad)


def align_text(first, second, matrix, *, sizes_differ=True) -> AlignedText:
    packs = [legible_pack(lines, sizes_differ=sizes_differ) for lines in (first, second)]
    return align_packs(*packs, matrix)


def test_letters_lose_accents_capitals_and_punctuation():
    assert plain_letters("Sữa Rửa-Mặt ĐẶC biệt!") == "suaruamatdacbiet"


def test_lines_at_one_place_agree_or_conflict():
    aligned = align_text(
        [line("NyQuil"), line("Cherry", y=0.5)], [line("NYQUIL"), line("Orange", y=0.5)], IDENTITY
    )
    assert aligned.agreeing == [(0, 0)]
    assert aligned.conflicting == [(1, 1)]


def test_other_numbers_conflict_however_alike_the_lines_are():
    assert align_text([line("SPF50+ PA")], [line("SPF30 PA")], IDENTITY).conflicting == [(0, 0)]
    assert align_text([line("150 g")], [line("150g")], IDENTITY).agreeing == [(0, 0)]


def test_sizes_that_do_not_part_are_no_conflict_of_lines():
    first, second = [line("Gel 200 ml e 6.7 FL.OZ.")], [line("Gel 500 mle 16.9FL.OZ.")]
    assert align_text(first, second, IDENTITY).conflicting == [(0, 0)]
    joined = align_text(first, second, IDENTITY, sizes_differ=False)
    assert joined.conflicting == []
    other_strength = [line("Gel SPF30 500 ml")]
    assert align_text(
        [line("Gel SPF50 200 ml")], other_strength, IDENTITY, sizes_differ=False
    ).conflicting == [(0, 0)]


def test_lines_at_other_places_say_nothing():
    aligned = align_text([line("Cherry")], [line("Orange", y=0.7)], IDENTITY)
    assert not aligned.agreeing
    assert not aligned.conflicting


def test_doubtful_and_short_lines_are_left_out():
    aligned = align_text(
        [line("Cherry", confidence=0.7), line("ml", y=0.5)],
        [line("Orange"), line("kg", y=0.5)],
        IDENTITY,
    )
    assert not aligned.conflicting


def test_a_part_of_a_line_agrees_with_the_whole():
    assert string_similarity("nyquil", "vicksnyquilcough") == 1.0


def test_texts_that_share_words_are_nearer():
    vectors = ngram_vectors(["honey nut cheerios", "cheerios honey", "dove shampoo", ""])
    similarity = (vectors @ vectors.T).toarray()
    assert similarity[0, 1] > 0.5 > similarity[0, 2]
    assert similarity[3].sum() == 0


def test_equal_titles_are_alike_however_short_they_are():
    pairs = np.array([[0, 1], [0, 2], [0, 3]])
    for others in (["b", ""], ["b", "", "kem chong nang"]):
        similarity = title_similarity(["a", "a", *others], pairs)
        assert similarity[0] == 1 and similarity[1] == 0 and np.isnan(similarity[2])


def test_no_text_at_all_has_no_vectors():
    assert ngram_vectors(["", ""]).sum() == 0


def test_unsure_lines_are_no_part_of_the_packs_text():
    assert pack_text([line("Honey Nut"), line("xx#", confidence=0.3)]) == "honeynut"


def test_lines_survive_the_cache():
    again = lines_from_json(lines_to_json([line("Kem chống nắng")]))
    assert again[0].text == "Kem chống nắng"
    np.testing.assert_allclose(again[0].quad, line("").quad)


def test_a_map_that_is_off_by_a_line_shows_no_conflict():
    first, second = [line("MELLAN"), line("MJÖLK", y=0.2)], [line("MJOLK"), line("MELLAN", y=0.3)]
    assert not align_text(first, second, IDENTITY).conflicting


def test_a_line_that_is_only_a_bit_like_another_is_not_read_twice():
    first, second = (
        [line("THẢO AN"), line("hoa nhài", y=0.5)],
        [line("THẢO AN"), line("atiso", y=0.5)],
    )
    assert align_text(first, second, IDENTITY).conflicting == [(1, 1)]


def test_a_replaced_word_conflicts_within_lines_that_are_alike():
    assert align_text([line("kem ban đêm")], [line("kem ban ngày")], IDENTITY).conflicting == [
        (0, 0)
    ]
    assert align_text([line("trà túi lọc")], [line("trà tul loc")], IDENTITY).agreeing == [(0, 0)]


def test_a_number_whose_unit_was_not_read_contradicts_another():
    assert align_text([line("180")], [line("100 g")], IDENTITY).conflicting == [(0, 0)]


def test_a_number_elsewhere_excuses_no_other_number():
    assert align_text(
        [line("50 ml")], [line("100 ml"), line("100 ml", y=0.8)], IDENTITY
    ).conflicting == [(0, 0)]


def test_prices_are_not_compared():
    assert not align_text([line("1495")], [line("2195")], IDENTITY).conflicting
