"""Misread words of print, spelled as most packs of the category spell them."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from clustering_pipeline.core.text import plain_words
from clustering_pipeline.stages.matching.text_evidence import CONFIDENT, PackLines
from clustering_pipeline.stages.matching.text_reader import TextLine

# Words of so many letters are corrected; in shorter ones another letter is another word.
_FEWEST_LETTERS = 4
# Letters by which a word and its usual spelling differ, and from which length on it may be two.
_ONE, _TWO, _LONG = 1, 2, 8
# A word is a misreading of another one that this many times as many packs bear.
_MORE_USUAL = 3
# Rare words compared with all usual ones at once.
_BLOCK = 512
_LETTERS = re.compile(r"[^\W\d_]+")


def usually_spelled(lines: PackLines) -> dict[int, list[TextLine]]:
    """Return the lines of each pack, words that were misread spelled as other packs bear them.

    Readers lose accents and mistake letters, differently on every photograph. A word of which
    three times as many packs bear a word that differs in one letter (two from eight letters on)
    counts as that word; of several the nearest, then the most usual. Numbers stay as read.

    Example:
        >>> quad = np.zeros((4, 2), np.float32)
        >>> said = ["cleansing oil", "Cleansing gel", "cleansing", "cieansing oil 310ml"]
        >>> packs = {row: [TextLine(text, 1.0, quad)] for row, text in enumerate(said)}
        >>> usually_spelled(packs)[3][0].text
        'cleansing oil 310ml'
    """
    spelling = _usual_spellings(_packs_by_word(lines))

    def spelled(match: re.Match[str]) -> str:
        return spelling.get(plain_words(match.group()), match.group())

    return {
        row: [replace(line, text=_LETTERS.sub(spelled, line.text)) for line in some]
        for row, some in lines.items()
    }


def _packs_by_word(lines: PackLines) -> Counter[str]:
    """Return how many packs bear each word of Latin letters."""
    return Counter(
        word
        for some in lines.values()
        for word in {
            word
            for line in some
            if line.confidence >= CONFIDENT
            for word in plain_words(line.text).split()
            if len(word) >= _FEWEST_LETTERS and word.isascii() and word.isalpha()
        }
    )


def _usual_spellings(packs: Mapping[str, int]) -> dict[str, str]:
    """Return the usual spelling of each word that has another one."""
    usual = {
        word: nearest
        for group in _by_lengths(packs)
        for word, nearest in _nearest_usual(group, packs)
    }
    # What is usual itself may be a misreading of something still more usual.
    found = {}
    for word, nearest in usual.items():
        last = nearest
        while last in usual:
            last = usual[last]
        found[word] = last
    return found


def _by_lengths(packs: Mapping[str, int]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the words of each length with those usual words that are near enough in length."""
    lengths: dict[int, list[str]] = {}
    for word in sorted(packs):
        lengths.setdefault(len(word), []).append(word)
    for length, words in sorted(lengths.items()):
        near = [
            word
            for other in range(length - _TWO, length + _TWO + 1)
            for word in lengths.get(other, [])
            if packs[word] >= _MORE_USUAL
        ]
        if near:
            yield words, near


def _nearest_usual(
    group: tuple[list[str], list[str]], packs: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    words, usual = group
    counts = np.array([packs[word] for word in usual])
    allowed = np.array([_letters_that_may_differ(word) for word in usual])
    for start in range(0, len(words), _BLOCK):
        block = words[start : start + _BLOCK]
        distances = process.cdist(
            block, usual, scorer=Levenshtein.distance, score_cutoff=_TWO, dtype=np.uint8
        )
        for word, row in zip(block, distances, strict=True):
            is_near = row <= np.minimum(allowed, _letters_that_may_differ(word))
            is_usual = counts >= _MORE_USUAL * packs[word]
            candidates = np.flatnonzero(is_near & is_usual)
            if len(candidates):
                best = min(candidates.tolist(), key=lambda n: (row[n], -counts[n], usual[n]))
                yield word, usual[best]


def _letters_that_may_differ(word: str) -> int:
    return _TWO if len(word) >= _LONG else _ONE
