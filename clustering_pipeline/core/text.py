"""Text without what shops and readers write differently (capitals, accents, punctuation, stock
phrases), and what it says that a product is: its kind, its form, what is in it and what it is for.

Attributes are found by a gazetteer in Vietnamese and English (`attributes.yaml`), so that "tẩy
trang" and "micellar water" say the same, and "gel rửa mặt" something else.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml
from rapidfuzz import fuzz

from clustering_pipeline.core.errors import InputError


def plain_letters(text: str) -> str:
    """Return `text` in lower case without accents, punctuation and spaces: what survives any
    reader.
    """
    return plain_words(text).replace(" ", "")


def plain_words(text: str) -> str:
    """Return the words of `text` in lower case without accents and punctuation, parted by single
    spaces.

    Example:
        >>> plain_words("Kem Chống Nắng (50ml) — CHÍNH HÃNG!")
        'kem chong nang 50ml chinh hang'
    """
    bare = without_accents(text)
    return " ".join("".join(letter if letter.isalnum() else " " for letter in bare).split())


def without_accents(text: str) -> str:
    """Return `text` in lower case without accents."""
    decomposed = unicodedata.normalize("NFKD", text).casefold().replace("đ", "d")
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def title_words(title: str) -> tuple[str, ...]:
    """Return the words of a title without case and punctuation: what equal titles share.

    Example:
        >>> title_words("Kem Hada-Labo, 50g!") == title_words("kem hada labo 50G")
        True
    """
    return tuple(re.findall(r"\w+", unicodedata.normalize("NFKC", title).casefold()))


def plain_header(header: str) -> str:
    """Return a column's header as lists of usual headers write them.

    Example:
        >>> plain_header("Mã sản phẩm *")
        'ma_san_pham'
    """
    return re.sub(r"[^a-z0-9]+", "_", without_accents(header)).strip("_")


@lru_cache(maxsize=1 << 18)
def string_similarity(first: str, second: str) -> float:
    """Return twice the longest common subsequence over all characters; 1 when the shorter is part
    of the longer.

    Example:
        >>> string_similarity("sunplay", "sunplay watery cool")
        1.0
        >>> round(string_similarity("anessa", "anesta"), 3)
        0.833
    """
    if not first or not second:
        return 0.0
    if first in second or second in first:
        return 1.0
    return fuzz.ratio(first, second) / 100


# Without accents and punctuation, in lower case. "moi" alone would also be the lips of a lipstick.
_PHRASES = """
100 authentic, 100 chinh hang, auth, authentic, chinh hang 100, cam ket chinh hang, chinh hang, hang
chinh hang, hang auth, hang chuan, hang cong ty, hang hieu, hang nhap khau, hang xach tay, nhap
khau, chuan chinh hang, co tem, tem phu, du bill, full bill, bill mua, free ship, freeship, freeship
extra, mien phi van chuyen, giao hang nhanh, giao nhanh, giao hoa toc, hoa toc, ship nhanh, gia re,
gia re nhat, gia si, gia soc, gia tot, gia tot nhat, sieu re, re vo dich, sieu sale, flash sale,
sale, sale off, sale soc, giam gia, khuyen mai, uu dai, deal, hot deal, deal hot, hot, ma giam,
thanh ly, xa kho, ban chay, ban chay nhat, best seller, bestseller, hot trend, mau moi, mau moi
nhat, moi nhat, hang moi, bao bi moi, new arrival, date moi, date xa, date dai, hang co san, co san,
san hang, hang san, cao cap, chat luong, chat luong cao, uy tin, yeu thich, mall, official, official
store, shop, store, kem qua, kem qua tang, tang qua
"""
_ANY = re.compile(
    r"\b(?:"
    + "|".join(
        sorted(
            (phrase.strip() for phrase in " ".join(_PHRASES.split()).split(",")),
            key=len,
            reverse=True,
        )
    )
    + r")\b"
)


def without_shop_phrases(words: str) -> str:
    """Return plain words, parted by spaces, without what shops put into any title.

    Example:
        >>> without_shop_phrases("chinh hang sua rua mat freeship")
        'sua rua mat'
    """
    return " ".join(_ANY.sub(" ", words).split())


MAX_LENGTH = 80


def category_slug(name: str) -> str:
    """Return the slug of a category's display name: ASCII letters, digits and single hyphens, at
    most 80 characters.

    Raises InputError when the name has no letter or digit that can be kept.

    Example:
        >>> category_slug("Sữa rửa mặt & Tẩy trang")
        'sua-rua-mat-tay-trang'
    """
    slug = re.sub(r"[^a-z0-9]+", "-", without_accents(name)).strip("-")[:MAX_LENGTH].rstrip("-")
    if not slug:
        raise InputError(
            f"The category name {name!r} has no Latin letter or digit to make a key of. Give "
            f"another one with --category NAME."
        )
    return slug


def normal_form(word: str) -> str:
    """Return the word in NFC and lower case, with single spaces."""
    return " ".join(unicodedata.normalize("NFC", word).casefold().split())


_GAZETTEER = Path(__file__).with_name("attributes.yaml")
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


# Attribute, value, and the phrases that mean it.
OwnPhrases = tuple[tuple[str, str, tuple[str, ...]], ...]


class Gazetteer:
    """What the phrases of `attributes.yaml`, and one's own beside them, say of texts.

    A phrase of one's own means what its owner says, also where it is known already. Accents,
    capitals and punctuation do not matter.

    Example:
        >>> sorted(gazetteer().read("Gel rửa mặt Cocoon bí đao 310ml").traits)
        ['winter melon']
        >>> noodles = gazetteer((("kind", "instant noodles", ("mì gói", "mì ăn liền")),))
        >>> noodles.read("Mì Gói tôm chua cay 75g").kinds
        frozenset({'instant noodles'})
    """

    def __init__(self, own: OwnPhrases = ()) -> None:
        phrases = _built_in()
        for attribute, value, written in own:
            values = phrases[attribute]
            values[value] = [*values.get(value, ()), *map(plain_words, written)]
        self._attributes = {
            name: _Attribute(values, lossy=name == "kind") for name, values in phrases.items()
        }
        self._read = lru_cache(maxsize=1 << 16)(self._stated)

    def read(self, text: str, *, printed: bool = False) -> ProductAttributes:
        """Return what a title or, `printed`, a line that was read on a pack says.

        Print is read with words run together and accented vowels lost, which titles are not.

        Example:
            >>> gazetteer().read("NUC TY TRANG", printed=True).kinds
            frozenset({'make-up remover'})
            >>> gazetteer().read("NUC TY TRANG").kinds
            frozenset()
        """
        return self._read(text, printed)

    def _stated(self, text: str, printed: bool) -> ProductAttributes:
        words = plain_words(text)
        letters = words.replace(" ", "") if printed else ""
        found = {name: one.find(words, letters) for name, one in self._attributes.items()}
        return ProductAttributes(
            found["kind"], found["form"], Values().union(*(found[name] for name in _TRAITS))
        )


@lru_cache(maxsize=4)
def gazetteer(own: OwnPhrases = ()) -> Gazetteer:
    """Return the built-in phrases with one's own, which are compiled once."""
    return Gazetteer(own)


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


def _built_in() -> dict[str, dict[str, list[str]]]:
    content: dict[str, dict[str, list[str]]] = yaml.safe_load(
        _GAZETTEER.read_text(encoding="utf-8")
    )
    return content
