"""Text without what shops and readers write differently: capitals, accents, punctuation."""

import unicodedata
from difflib import SequenceMatcher
from functools import lru_cache


def plain_letters(text: str) -> str:
    """Return `text` in lower case without accents, punctuation and spaces: what survives any reader."""
    return plain_words(text).replace(" ", "")


def plain_words(text: str) -> str:
    """Return the words of `text` in lower case without accents and punctuation, parted by single spaces."""
    bare = without_accents(text)
    return " ".join("".join(letter if letter.isalnum() else " " for letter in bare).split())


def without_accents(text: str) -> str:
    """Return `text` in lower case without accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().replace("đ", "d"))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


@lru_cache(maxsize=1 << 18)
def string_similarity(first: str, second: str) -> float:
    """Return twice the matching characters over all characters; 1 when the shorter is part of the longer."""
    if not first or not second:
        return 0.0
    if first in second or second in first:
        return 1.0
    return SequenceMatcher(None, first, second, autojunk=False).ratio()
