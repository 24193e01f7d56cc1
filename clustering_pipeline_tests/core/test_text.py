"""What words on packs and in titles say that a product is."""

from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.core.text import (
    NOTHING_STATED,
    ProductAttributes,
    gazetteer,
)

read_attributes = gazetteer().read
NOODLES = ("kind", "instant noodles", ("Mì gói", "mì ăn liền", "instant noodle"))


def test_vietnamese_and_english_names_of_one_kind_say_the_same():
    vietnamese = read_attributes("Nước tẩy trang bí đao Cocoon 500ml")
    english = read_attributes("Cocoon Winter Melon Micellar Water 500ml")
    assert vietnamese.kinds == english.kinds == {"make-up remover"}
    assert vietnamese.traits == english.traits == {"winter melon"}


def test_another_kind_and_another_ingredient_are_told_apart():
    cleanser, remover = (
        read_attributes(title) for title in ("Gel rửa mặt hoa hồng", "Nước tẩy trang bí đao")
    )
    assert not cleanser.kinds & remover.kinds
    assert not cleanser.traits & remover.traits


def test_words_within_other_words_say_nothing_in_a_title():
    # "tẩy trang" is no colour ("trắng"), "nhạy cảm" no orange ("cam"), a masker no mask.
    assert read_attributes("cho da nhạy cảm").traits == {"sensitive"}
    assert read_attributes("masker").kinds == frozenset()
    assert read_attributes("") == NOTHING_STATED


def test_print_is_read_with_words_run_together_and_vowels_lost():
    assert read_attributes("SKINCAREMILKSUNSCREEN", printed=True).kinds == {"sunscreen"}
    assert read_attributes("NUC TY TRANG", printed=True).kinds == {"make-up remover"}
    assert read_attributes("NUC TY TRANG").kinds == frozenset()


def test_statements_are_joined():
    both = read_attributes("serum").joined(read_attributes("vitamin c"))
    assert both == ProductAttributes(
        frozenset({"serum"}), frozenset({"serum"}), frozenset({"vitamin c"})
    )


def test_phrases_of_ones_own_are_known_whatever_their_accents_beside_the_built_in_ones():
    words = gazetteer((NOODLES, ("purpose", "spicy", ("cay",))))
    assert words.read("MI AN LIEN Hảo Hảo tôm chua cay 75g") == ProductAttributes(
        kinds=frozenset({"instant noodles"}), traits=frozenset({"spicy"})
    )
    assert words.read("HAOHAOMIANLIEN", printed=True).kinds == {"instant noodles"}
    assert words.read("Gel rửa mặt bí đao") == read_attributes("Gel rửa mặt bí đao")
    assert read_attributes("mì ăn liền").kinds == frozenset()


def test_a_phrase_of_ones_own_means_what_its_owner_says():
    assert read_attributes("serum").kinds == {"serum"}
    assert gazetteer((("kind", "vaccine", ("serum",)),)).read("serum").kinds == {"vaccine"}


@given(st.text(max_size=200), st.booleans())
def test_any_text_can_be_read(text: str, printed: bool):
    stated = read_attributes(text, printed=printed)
    assert stated.joined(NOTHING_STATED) == stated
