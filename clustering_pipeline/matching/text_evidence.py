"""What text says about pairs: the print on packs, the titles of listings, the quantities in both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.matching.products import Products
from clustering_pipeline.matching.text_agreement import (
    CONFIDENT,
    align_text,
    ngram_vectors,
    pack_text,
    plain_words,
    string_similarity,
)
from clustering_pipeline.matching.text_reader import TextLine
from clustering_pipeline.wording import Quantity, conflict_between, read_quantities

Pairs = NDArray[np.int64]
PackLines = Mapping[int, Sequence[TextLine]]

FEWEST_LETTERS = 6
_PAIR_BLOCK = 65_536
_MOST_SUBSTITUTED, _FEWEST_SHARED, _MISSPELT = 3, 4, 0.75


@dataclass(frozen=True)
class TextEvidence:
    """What m pairs of packs say, one entry each.

    Attributes:
        present: whether both packs bear six readable letters or more.
        similarity: cosine of character n-grams; 0 where text is not present.
        agreeing, conflicting: lines at the same place of the print that say the same, or something else.
    """

    present: NDArray[np.bool_]
    similarity: NDArray[np.float64]
    agreeing: NDArray[np.int64]
    conflicting: NDArray[np.int64]


def compare_packs(evidence: pd.DataFrame, pairs: Pairs, lines: PackLines, count: int) -> TextEvidence:
    """Return the text evidence of `pairs` of `count` packs, of which `lines` holds those that were read."""
    texts = [pack_text(lines.get(row, ())) for row in range(count)]
    legible = np.array([len(text) >= FEWEST_LETTERS for text in texts], bool)
    present = legible[pairs[:, 0]] & legible[pairs[:, 1]]
    agreeing, conflicting = np.zeros(len(pairs), np.int64), np.zeros(len(pairs), np.int64)
    matrices = evidence["matrix"].to_numpy()
    for number in np.flatnonzero(present & evidence["matrix"].notna().to_numpy()):
        left, right = pairs[number]
        aligned = align_text(lines[left], lines[right], np.asarray(matrices[number], np.float32).reshape(2, 3))
        same = {one for one, _ in aligned.agreeing}
        agreeing[number] = len(same)
        conflicting[number] = len({one for one, _ in aligned.conflicting} - same)
    similarity = np.where(present, similarity_of(texts, pairs), 0.0)
    return TextEvidence(present, similarity, agreeing, conflicting)


def compare_titles(products: Products, pairs: Pairs) -> NDArray[np.float64]:
    """Return the cosine of the n-grams of the titles behind each pair, NaN where either has none."""
    texts = [" ".join(plain_words(title) for title in titles) for titles in products.titles]
    known = np.array([bool(text) for text in texts], bool)
    return np.where(known[pairs].all(axis=1), similarity_of(texts, pairs), np.nan)


def number_conflicts(products: Products, pairs: Pairs, lines: PackLines) -> list[str | None]:
    """Return for each pair how titles contradict each other in a number or a word, or else the print in a number."""
    stated = [_stated(titles) for titles in products.titles]
    printed = [_printed(lines.get(row, ())) for row in range(len(products))]
    words = [frozenset(" ".join(map(plain_words, titles)).split()) for titles in products.titles]
    titled = [bool(titles) for titles in products.titles]
    conflicts: list[str | None] = []
    for left, right in pairs:
        conflict = None
        if titled[left] and titled[right]:
            conflict = conflict_between(stated[left], stated[right]) or substitution(words[left], words[right])
        conflicts.append(conflict or conflict_between(printed[left], printed[right], unsaid_is_single=False))
    return conflicts


def substitution(first: frozenset[str], second: frozenset[str]) -> str | None:
    """Return the words by which two otherwise equal titles replace each other ("ngay / dem"), or None.

    Titles of near variants differ in a word or two on both sides; titles of other shops differ in more, or only add.
    """
    left, right, shared = first - second, second - first, first & second
    if not left or not right or max(len(left), len(right)) > _MOST_SUBSTITUTED or len(shared) < _FEWEST_SHARED:
        return None
    one, other = " ".join(sorted(left)), " ".join(sorted(right))
    # A misspelt word is no other word.
    return None if string_similarity(one, other) >= _MISSPELT else f"{one} / {other}"


def similarity_of(texts: Sequence[str], pairs: Pairs) -> NDArray[np.float64]:
    """Return the n-gram cosine of each pair of texts: float64 (m,)."""
    vectors = ngram_vectors(texts)
    similarity = np.zeros(len(pairs))
    for start in range(0, len(pairs), _PAIR_BLOCK):
        left, right = pairs[start : start + _PAIR_BLOCK].T
        product = vectors[left].multiply(vectors[right]).sum(axis=1)
        similarity[start : start + _PAIR_BLOCK] = np.asarray(product).ravel()
    return similarity


def _stated(titles: Sequence[str]) -> frozenset[Quantity]:
    return frozenset().union(*(read_quantities(title) for title in titles))


def _printed(lines: Sequence[TextLine]) -> frozenset[Quantity]:
    return frozenset().union(*(read_quantities(line.text) for line in lines if line.confidence >= CONFIDENT))
