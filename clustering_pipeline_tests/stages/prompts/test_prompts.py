"""Class words, glossary and the stage's manifest."""

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.manifests import ENGLISH_PROMPTS, conform
from clustering_pipeline.core.text import without_accents
from clustering_pipeline.settings import PromptSettings
from clustering_pipeline.stages import prompts
from clustering_pipeline.stages.prompts import (
    TRANSLATORS,
    class_words,
    glossary,
    look_up,
    read_prompts,
)


def test_the_glossary_is_large_and_well_formed():
    entries = glossary()
    assert len(entries) >= 150
    assert len({entry.word for entry in entries}) == len(entries)
    assert all(entry.english.isascii() and entry.synonyms for entry in entries)


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@given(entry=st.sampled_from(glossary()), upper=st.booleans())
def test_unicode_form_and_capitals_do_not_matter(form, entry, upper):
    word = unicodedata.normalize(form, entry.word.upper() if upper else entry.word)
    assert look_up(f"  {word} ") == entry


def test_accents_do_not_matter():
    assert look_up("hop").english == "box"
    assert look_up("goi").english == "packet"
    assert look_up("Kem Chong Nang").english == "sunscreen"
    assert look_up("dau goi").english == "shampoo"


def test_accents_decide_where_they_are_given():
    assert look_up("bát").english == "bowl"
    assert look_up("ví").english == "wallet"
    assert look_up("vỉ").english == "blister pack"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Kem chống nắng", "tuýp"),
        ("kem-chong-nang", "tuýp"),
        ("SỮA RỬA MẶT nam", "tuýp"),
        ("Toner", "chai"),
        ("Zubehör", "hộp"),
    ],
)
def test_common_categories_have_class_words(name, word):
    assert word in class_words(name)


def test_a_phrase_counts_as_whole_words_only():
    assert class_words("Sonic") == class_words("something unknown")


def test_every_built_in_class_word_is_in_the_glossary():
    names = ["kem chống nắng", "sữa tắm", "rượu", "vitamin", "tã", "giày", "điện thoại", "unknown"]
    assert all(look_up(word) for name in names for word in class_words(name))


def test_the_manifest_says_who_translated(context):
    settings = PromptSettings(words=("Hộp", "hộp", "quux"), synonyms=2)
    result = prompts.run(settings=settings, context=replace(context, category="kem-chong-nang"))
    assert conform(result.manifest, ENGLISH_PROMPTS).equals(result.manifest)
    rows = {prompt.word: prompt for prompt in read_prompts(result.manifest)}
    assert set(rows) == {"Hộp", "quux"}
    assert (rows["Hộp"].english, rows["Hộp"].synonyms, rows["Hộp"].translator) == (
        "box",
        ("carton", "package"),
        "glossary",
    )
    assert (rows["quux"].english, rows["quux"].translator) == ("quux", "word itself")
    assert result.facts["words_translated_by_glossary"] == 1


@given(st.text(max_size=30))
def test_folding_is_idempotent(word):
    assert without_accents(without_accents(word)) == without_accents(word)


def test_auto_hands_over_when_a_translator_fails(context, monkeypatch):
    class Unreachable:
        name = "remote"

        def __init__(self, settings):
            pass

        def translate(self, words, context):
            raise StageError("The remote translator did not answer.")

    monkeypatch.setitem(TRANSLATORS, "remote", Unreachable)
    monkeypatch.setattr(
        "clustering_pipeline.stages.prompts.stage.AUTOMATIC_ORDER", ("remote", "glossary")
    )
    result = prompts.run(settings=PromptSettings(), context=context)
    assert set(result.manifest["translator"]) == {"glossary"}
    assert "did not answer" in result.facts["remote_failure"]
    with pytest.raises(StageError):
        prompts.run(
            settings=PromptSettings().model_copy(update={"translator": "remote"}), context=context
        )
