"""What words on a pack or in a title say that a product is: its kind, its form, what is in it and
what it is for.

Attributes are found by a gazetteer in Vietnamese and English (`attributes.yaml`), so that "tẩy
trang" and "micellar water" say the same, and "gel rửa mặt" something else.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from clustering_pipeline.core.text import plain_words

# Attributes that tell the variants of one line apart.
_TRAITS = ("ingredient", "shade", "purpose")
# Phrases of so many letters are known within other letters too: readers run words together.
_FEWEST_LETTERS = 6
# Kinds of several words are also known by so many consonants: readers lose vowels with accents.
_FEWEST_CONSONANTS = 5
_WITHOUT_VOWELS = str.maketrans("", "", "aeiou")

Values = frozenset[str]


@dataclass(frozen=True)
class ProductAttributes:
    """What is said of a product; nothing where a set is empty."""

    kinds: Values = frozenset()
    forms: Values = frozenset()
    traits: Values = frozenset()

    def joined(self, other: "ProductAttributes") -> "ProductAttributes":
        """Return what both say together."""
        return ProductAttributes(
            self.kinds | other.kinds, self.forms | other.forms, self.traits | other.traits
        )


NOTHING_STATED = ProductAttributes()


@lru_cache(maxsize=1 << 16)
def read_attributes(text: str, *, printed: bool = False) -> ProductAttributes:
    """Return what a title or, `printed`, a line that was read on a pack says.

    Print is read with words run together and accented vowels lost, which titles are not.

    Example:
        >>> sorted(read_attributes("Gel rửa mặt Cocoon bí đao 310ml").traits)
        ['winter melon']
        >>> read_attributes("NUC TY TRANG", printed=True) == read_attributes("nước tẩy trang")
        False
        >>> read_attributes("NUC TY TRANG", printed=True).kinds
        frozenset({'make-up remover'})
    """
    words = plain_words(text)
    letters = words.replace(" ", "") if printed else ""
    gazetteer = _gazetteer()
    return ProductAttributes(
        gazetteer["kind"].find(words, letters),
        gazetteer["form"].find(words, letters),
        frozenset[str]().union(*(gazetteer[name].find(words, letters) for name in _TRAITS)),
    )


class _Attribute:
    """The phrases of one attribute as patterns: among words, within letters, within consonants."""

    def __init__(self, phrases_by_value: Mapping[str, Iterable[str]], *, lossy: bool) -> None:
        self._value_of: dict[str, str] = {}
        words, letters, consonants = [], [], []
        for value, phrases in phrases_by_value.items():
            for phrase in phrases:
                glued = phrase.replace(" ", "")
                bare = glued.translate(_WITHOUT_VOWELS)
                words.append(phrase)
                self._value_of |= {phrase: value, glued: value}
                if len(glued) >= _FEWEST_LETTERS:
                    letters.append(glued)
                if lossy and " " in phrase and len(bare) >= _FEWEST_CONSONANTS:
                    consonants.append(bare)
                    self._value_of.setdefault(bare, value)
        self._among_words = re.compile(rf"(?<![a-z0-9])(?=({_any_of(words)})(?![a-z0-9]))")
        self._within_letters = re.compile(f"(?=({_any_of(letters)}))")
        self._within_consonants = re.compile(f"(?=({_any_of(consonants)}))")

    def find(self, words: str, letters: str) -> Values:
        phrases = self._among_words.findall(words)
        if letters:
            phrases += self._within_letters.findall(letters)
            phrases += self._within_consonants.findall(letters.translate(_WITHOUT_VOWELS))
        return frozenset(self._value_of[phrase] for phrase in phrases)


def _any_of(phrases: Iterable[str]) -> str:
    """Return a pattern of any of the phrases, the longest first; one that never matches without
    any.
    """
    longest_first = sorted(set(phrases), key=lambda phrase: (-len(phrase), phrase))
    return "|".join(map(re.escape, longest_first)) or r"(?!)"


@lru_cache(maxsize=1)
def _gazetteer() -> Mapping[str, _Attribute]:
    content = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return {name: _Attribute(values, lossy=name == "kind") for name, values in content.items()}
