"""Text as evidence of a pair: agreement of the print on packs, of titles, and of the quantities in
both.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, reduce

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from clustering_pipeline.core.text import (
    NOTHING_STATED,
    Gazetteer,
    ProductAttributes,
    plain_letters,
    plain_words,
    string_similarity,
)
from clustering_pipeline.core.titles import (
    NOTHING_SAID,
    SIZES,
    Quantity,
    TitleFacts,
    conflict_between,
    contradiction_between,
    read_quantities,
    read_titles,
    without_sizes,
)
from clustering_pipeline.stages.matching.kept_crops import KeptCrops
from clustering_pipeline.stages.matching.text_reader import CONFIDENT, PackLines, TextLine
from clustering_pipeline.stages.matching.verification import Floats

_VERY_CONFIDENT = 0.8
# Similarity of lines at the same place that agree or conflict, and of a line that was read at
# another place.
_AGREE, _CONFLICT, _READ_AGAIN = 0.6, 0.45, 0.75
_SHORTEST_LINE = 3
_OVERLAP = 0.4
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class AlignedText:
    """Lines of two packs that lie at the same place of the print.

    Attributes:
        agreeing, conflicting: pairs of line numbers, of the first and the second pack.
    """

    agreeing: list[tuple[int, int]]
    conflicting: list[tuple[int, int]]


@dataclass(frozen=True)
class _ReadLine:
    """A line's number on its pack, its plain letters, and the words that these make."""

    number: int
    letters: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class LegiblePack:
    """What of a pack's lines is compared, worked out once for all pairs of the pack.

    Attributes:
        lines: those that can be read.
        compared: those of them that are read well and lie on the product, not beside it.
        quads: float32 (n, 4, 2), the corners of the compared ones.
    """

    lines: list[_ReadLine]
    compared: list[_ReadLine]
    quads: Floats


def pack_text(lines: Sequence[TextLine]) -> str:
    """Return the confidently read lines of a pack, one after the other, in plain letters."""
    return " ".join(
        filter(None, (plain_letters(line.text) for line in lines if line.confidence >= CONFIDENT))
    )


def ngram_vectors(texts: Sequence[str]) -> sparse.csr_matrix:
    """Return unit-length TF-IDF rows of character 3- and 4-grams within words; a text without any
    is a row of zeros.

    What many packs share (a seller's banner, "new", "free") counts little by itself.
    """
    if not any(len(text) >= _SHORTEST_LINE for text in texts):
        return sparse.csr_matrix((len(texts), 1))
    # Its import takes longer than many a command that reads no text.
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True, dtype=np.float32
    ).fit_transform(texts)


def legible_pack(lines: Sequence[TextLine], *, sizes_differ: bool = True) -> LegiblePack:
    """Return what of the lines on a pack is compared with other packs.

    With `sizes_differ` 50 ml are something else than 100 ml; else lines are compared without them.
    """
    legible, compared, quads = [], [], []
    for number, line in enumerate(lines):
        words = _compared_words(line.text, sizes_differ)
        letters = "".join(words)
        if line.confidence < CONFIDENT or len(letters) < _SHORTEST_LINE:
            continue
        legible.append(_ReadLine(number, letters, words))
        middle = line.quad.mean(axis=0)
        if line.confidence >= _VERY_CONFIDENT and ((middle >= 0) & (middle <= 1)).all():
            compared.append(legible[-1])
            quads.append(line.quad)
    stacked = np.stack(quads) if quads else np.zeros((0, 4, 2), np.float32)
    return LegiblePack(legible, compared, stacked.astype(np.float32))


def align_text(first: LegiblePack, second: LegiblePack, matrix: Floats) -> AlignedText:
    """Compare the lines that an affine map lays over each other.

    Lines agree when they are mostly the same letters. They conflict when they are mostly others, or
    when their numbers differ, and neither of the two was read elsewhere on the other pack: a map
    that is off by a line lays different lines of one product over each other.

    Args:
        first: what was read on one pack.
        second: that on the other.
        matrix: float32 (2, 3), from shares of the first product frame's width and height to those
            of the second.
    """
    mapped = (first.quads @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    agreeing, conflicting = [], []
    for left, right in _boxes_that_meet(mapped, second.quads):
        one, other = first.compared[left], second.compared[right]
        # Digits alone on both are prices and codes.
        if (one.letters.isdigit() and other.letters.isdigit()) or not _overlapping(
            mapped[left], second.quads[right]
        ):
            continue
        if _say_the_same(one, other):
            agreeing.append((one.number, other.number))
        elif _contradict(one, other) and not (
            _read_on(second.lines, one, other) or _read_on(first.lines, other, one)
        ):
            conflicting.append((one.number, other.number))
    return AlignedText(agreeing, conflicting)


def _boxes_that_meet(first: Floats, second: Floats) -> list[list[int]]:
    """Return which quadrilaterals, float32 (n, 4, 2) and (m, 4, 2), have bounding boxes that share
    an area: pairs of their numbers.
    """
    if len(first) == 0 or len(second) == 0:
        return []
    low = np.maximum(first.min(axis=1)[:, None], second.min(axis=1))
    high = np.minimum(first.max(axis=1)[:, None], second.max(axis=1))
    return np.argwhere((high > low).all(axis=2)).tolist()


@lru_cache(maxsize=1 << 16)
def _compared_words(text: str, sizes_differ: bool) -> tuple[str, ...]:
    return tuple(plain_words(text if sizes_differ else without_sizes(text)).split())


def _read_on(pack: Sequence[_ReadLine], line: _ReadLine, opposite: _ReadLine) -> bool:
    """Whether a pack says the same as `line` in any other line than the one that lies opposite."""
    return any(_say_the_same(line, one, _READ_AGAIN) for one in pack if one is not opposite)


def _say_the_same(first: _ReadLine, second: _ReadLine, least: float = _AGREE) -> bool:
    alike = string_similarity(first.letters, second.letters) >= least
    return (
        alike
        and not _numbers_differ(first.letters, second.letters)
        and not _words_differ(first.words, second.words)
    )


def _contradict(first: _ReadLine, second: _ReadLine) -> bool:
    if string_similarity(first.letters, second.letters) < _CONFLICT:
        return True
    return _numbers_differ(first.letters, second.letters) or _words_differ(
        first.words, second.words
    )


def _words_differ(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two lines with a word in common have other words besides ("ban ngay", "ban dem")."""
    common = set(first) & set(second)
    left, right = (
        "".join(word for word in words if word not in common) for words in (first, second)
    )
    if not common or min(len(left), len(right)) < _SHORTEST_LINE:
        return False
    return string_similarity(left, right) < _CONFLICT


def _numbers_differ(first: str, second: str) -> bool:
    if string_similarity(first, second) == 1:
        return False
    left, right = set(_DIGITS.findall(first)), set(_DIGITS.findall(second))
    return bool(left and right) and not left & right


def _overlapping(first: Floats, second: Floats) -> bool:
    """Whether two quadrilaterals share at least 40 % of the smaller one."""
    common, _ = cv2.intersectConvexConvex(first, second)
    smaller = min(cv2.contourArea(first), cv2.contourArea(second))
    return common >= _OVERLAP * max(smaller, 1e-9)


Pairs = NDArray[np.int64]

FEWEST_LETTERS = 6
_PAIR_BLOCK = 65_536
# Texts compared with all others at once, and how many nearest ones say how crowded it is about a
# text.
_TEXT_BLOCK, _NEAREST_TEXTS = 512, 10


@dataclass(frozen=True)
class TextEvidence:
    """What m pairs of packs say, one entry each.

    Attributes:
        present: whether both packs bear six readable letters or more.
        similarity: cosine of character n-grams; 0 where text is not present.
        agreeing, conflicting: lines at the same place of the print that say the same, or something
            else.
        csls: twice the similarity less the mean of either text to its ten nearest (Conneau et al.
            2018), NaN without text.
        rank: how many texts are nearer to the one than the other is, the smaller of both ways, NaN
            without text.
    """

    present: NDArray[np.bool_]
    similarity: NDArray[np.float64]
    agreeing: NDArray[np.int64]
    conflicting: NDArray[np.int64]
    csls: NDArray[np.float64]
    rank: NDArray[np.float64]


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
        return [
            said or printed for said, printed in zip(self.in_titles, self.in_print, strict=True)
        ]


def compare_packs(
    evidence: pd.DataFrame,
    pairs: Pairs,
    lines: PackLines,
    count: int,
    *,
    sizes_differ: bool = True,
) -> TextEvidence:
    """Return the text evidence of `pairs` of `count` packs, of which `lines` holds those that were
    read; `sizes_differ` as `legible_pack` takes it.
    """
    texts = [pack_text(lines.get(row, ())) for row in range(count)]
    legible = np.array([len(text) >= FEWEST_LETTERS for text in texts], bool)
    present = legible[pairs[:, 0]] & legible[pairs[:, 1]]
    agreeing, conflicting = np.zeros(len(pairs), np.int64), np.zeros(len(pairs), np.int64)
    packs = [legible_pack(lines.get(row, ()), sizes_differ=sizes_differ) for row in range(count)]
    matrices = evidence["matrix"].to_numpy()
    for number in np.flatnonzero(present & evidence["matrix"].notna().to_numpy()):
        left, right = pairs[number]
        matrix = np.asarray(matrices[number], np.float32).reshape(2, 3)
        aligned = align_text(packs[left], packs[right], matrix)
        same = {one for one, _ in aligned.agreeing}
        agreeing[number] = len(same)
        conflicting[number] = len({one for one, _ in aligned.conflicting} - same)
    similarity = np.where(present, similarity_of(texts, pairs), 0.0)
    csls, rank = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    csls[present], rank[present] = standing_among_texts(texts, pairs[present])
    return TextEvidence(present, similarity, agreeing, conflicting, csls, rank)


def standing_among_texts(
    texts: Sequence[str], pairs: Pairs
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return CSLS and the smaller rank of each pair of texts among all texts; see TextEvidence."""
    if len(pairs) == 0:
        return np.zeros(0), np.zeros(0)
    vectors = ngram_vectors(texts)
    rows = np.concatenate([pairs[:, 0], pairs[:, 1]])
    columns = np.concatenate([pairs[:, 1], pairs[:, 0]])
    order = np.argsort(rows, kind="stable")
    similarity, rank, near = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(texts))
    for start in range(0, len(texts), _TEXT_BLOCK):
        stop = min(start + _TEXT_BLOCK, len(texts))
        some = (vectors[start:stop] @ vectors.T).toarray().astype(np.float32)
        some[np.arange(stop - start), np.arange(start, stop)] = -1
        nearest = min(_NEAREST_TEXTS, len(texts) - 1)
        near[start:stop] = np.sort(np.partition(some, -nearest, axis=1)[:, -nearest:], axis=1).mean(
            axis=1
        )
        bounds = np.searchsorted(rows[order], np.arange(start, stop + 1))
        for row, first, last in zip(some, bounds[:-1], bounds[1:], strict=True):
            numbers = order[first:last]
            cosines = row[columns[numbers]]
            similarity[numbers] = cosines
            rank[numbers] = len(row) - np.searchsorted(np.sort(row), cosines, side="right")
    count = len(pairs)
    return 2 * similarity[:count] - near[pairs[:, 0]] - near[pairs[:, 1]], np.minimum(
        rank[:count], rank[count:]
    )


def compare_titles(
    products: KeptCrops,
    pairs: Pairs,
    lines: PackLines,
    *,
    bundles_differ: bool = True,
    sizes_differ: bool = True,
) -> TitleEvidence:
    """Return what the titles behind each pair say, and what the print on the packs says in numbers.

    With `bundles_differ` a bundle of two contradicts the single pack, with `sizes_differ` 50 ml
    contradict 100 ml.
    """
    ignored = frozenset(() if bundles_differ else ("packs",)) | frozenset(
        () if sizes_differ else SIZES
    )
    texts = [" ".join(plain_words(title) for title in titles) for titles in products.titles]
    similarity = title_similarity(texts, pairs)
    titled = _title_conflicts(products, pairs, ignored)
    return TitleEvidence(
        similarity, titled, _printed_conflicts(lines, pairs, len(products), ignored)
    )


def title_similarity(texts: Sequence[str], pairs: Pairs) -> NDArray[np.float64]:
    """Return the cosine of the n-grams of the titles of m pairs, NaN where either has none.

    A title of a letter or two has no n-grams, but it is like itself.
    """
    has_title = np.array([bool(text) for text in texts], bool)
    are_equal = np.array([texts[left] == texts[right] for left, right in pairs.tolist()], bool)
    compared = np.where(are_equal, 1.0, similarity_of(texts, pairs))
    return np.where(has_title[pairs].all(axis=1), compared, np.nan)


def _title_conflicts(
    products: KeptCrops, pairs: Pairs, ignored: frozenset[str]
) -> list[str | None]:
    said = read_titles(title for titles in products.titles for title in titles)
    joined = [
        reduce(TitleFacts.joined, (said[title] for title in titles), NOTHING_SAID)
        for titles in products.titles
    ]
    counted = [replace(one, quantities=_counted(one.quantities, ignored)) for one in joined]
    titled = [bool(titles) for titles in products.titles]
    return [
        contradiction_between(counted[left], counted[right])
        if titled[left] and titled[right]
        else None
        for left, right in pairs.tolist()
    ]


def _printed_conflicts(
    lines: PackLines, pairs: Pairs, count: int, ignored: frozenset[str]
) -> list[str | None]:
    printed = [_counted(_printed(lines.get(row, ())), ignored) for row in range(count)]
    stated = np.array([bool(one) for one in printed], bool)
    conflicts: list[str | None] = [None] * len(pairs)
    for number in np.flatnonzero(stated[pairs].all(axis=1)).tolist():
        left, right = pairs[number]
        conflicts[number] = conflict_between(printed[left], printed[right], unsaid_is_single=False)
    return conflicts


def other_sizes(products: KeptCrops, pairs: Pairs, lines: PackLines) -> NDArray[np.bool_]:
    """Return which pairs state in print or titles that another amount is in the pack: bool (m,)."""
    said = [
        _printed(lines.get(row, ())).union(*map(read_quantities, titles))
        for row, titles in enumerate(products.titles)
    ]
    stated = [frozenset(one for one in some if one.kind in SIZES) for some in said]
    return np.array(
        [
            conflict_between(stated[left], stated[right], unsaid_is_single=False) is not None
            for left, right in pairs.tolist()
        ],
        bool,
    )


def _counted(quantities: frozenset[Quantity], ignored: frozenset[str]) -> frozenset[Quantity]:
    return frozenset(one for one in quantities if one.kind not in ignored)


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
    return frozenset().union(
        *(read_quantities(line.text) for line in lines if line.confidence >= CONFIDENT)
    )


def stated_attributes(
    products: KeptCrops, lines: PackLines, words: Gazetteer
) -> list[ProductAttributes]:
    """Return what the titles behind each crop and the lines on its picture say of the product."""
    return [
        reduce(
            ProductAttributes.joined,
            [
                *(
                    words.read(line.text, printed=True)
                    for line in lines.get(row, ())
                    if line.confidence >= CONFIDENT
                ),
                *map(words.read, titles),
            ],
            NOTHING_STATED,
        )
        for row, titles in enumerate(products.titles)
    ]
