"""What text says about pairs: the print on packs, the titles of listings, the quantities in both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.matching.products import Products
from clustering_pipeline.matching.text_agreement import CONFIDENT, align_text, ngram_vectors, pack_text
from clustering_pipeline.matching.text_reader import TextLine
from clustering_pipeline.wording import (
    NOTHING_SAID,
    Quantity,
    Statement,
    conflict_between,
    contradiction_between,
    plain_words,
    read_quantities,
    read_titles,
)

Pairs = NDArray[np.int64]
PackLines = Mapping[int, Sequence[TextLine]]

FEWEST_LETTERS = 6
_PAIR_BLOCK = 65_536


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


@dataclass(frozen=True)
class TitleEvidence:
    """What the titles of m pairs say, one entry each.

    Attributes:
        similarity: cosine of character n-grams, NaN where either has no title.
        in_titles: how titles contradict each other in a number or a word, or None.
        in_print: how the print contradicts itself in a number, or None.
    """

    similarity: NDArray[np.float64]
    in_titles: list[str | None]
    in_print: list[str | None]

    @property
    def conflicts(self) -> list[str | None]:
        """The contradiction in titles, or else that in print, or None."""
        return [said or printed for said, printed in zip(self.in_titles, self.in_print, strict=True)]


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


def compare_titles(products: Products, pairs: Pairs, lines: PackLines, *, bundles_differ: bool = True) -> TitleEvidence:
    """Return what the titles behind each pair say, and what the print on the packs says in numbers.

    With `bundles_differ` a bundle of two contradicts the single pack.
    """
    texts = [" ".join(plain_words(title) for title in titles) for titles in products.titles]
    known = np.array([bool(text) for text in texts], bool)
    similarity = np.where(known[pairs].all(axis=1), similarity_of(texts, pairs), np.nan)
    titled = _title_conflicts(products, pairs, bundles_differ)
    return TitleEvidence(similarity, titled, _printed_conflicts(lines, pairs, len(products), bundles_differ))


def _title_conflicts(products: Products, pairs: Pairs, bundles_differ: bool) -> list[str | None]:
    said = read_titles(title for titles in products.titles for title in titles)
    joined = [reduce(Statement.joined, (said[title] for title in titles), NOTHING_SAID) for titles in products.titles]
    counted = [replace(one, quantities=_counted(one.quantities, bundles_differ)) for one in joined]
    titled = [bool(titles) for titles in products.titles]
    return [
        contradiction_between(counted[left], counted[right]) if titled[left] and titled[right] else None
        for left, right in pairs.tolist()
    ]


def _printed_conflicts(lines: PackLines, pairs: Pairs, count: int, bundles_differ: bool) -> list[str | None]:
    printed = [_counted(_printed(lines.get(row, ())), bundles_differ) for row in range(count)]
    stated = np.array([bool(one) for one in printed], bool)
    conflicts: list[str | None] = [None] * len(pairs)
    for number in np.flatnonzero(stated[pairs].all(axis=1)).tolist():
        left, right = pairs[number]
        conflicts[number] = conflict_between(printed[left], printed[right], unsaid_is_single=False)
    return conflicts


def _counted(quantities: frozenset[Quantity], bundles_differ: bool) -> frozenset[Quantity]:
    return frozenset(one for one in quantities if bundles_differ or one.kind != "packs")


def similarity_of(texts: Sequence[str], pairs: Pairs) -> NDArray[np.float64]:
    """Return the n-gram cosine of each pair of texts: float64 (m,)."""
    vectors = ngram_vectors(texts)
    similarity = np.zeros(len(pairs))
    for start in range(0, len(pairs), _PAIR_BLOCK):
        left, right = pairs[start : start + _PAIR_BLOCK].T
        product = vectors[left].multiply(vectors[right]).sum(axis=1)
        similarity[start : start + _PAIR_BLOCK] = np.asarray(product).ravel()
    return similarity


def _printed(lines: Sequence[TextLine]) -> frozenset[Quantity]:
    return frozenset().union(*(read_quantities(line.text) for line in lines if line.confidence >= CONFIDENT))
