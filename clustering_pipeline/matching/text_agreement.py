"""What the text of two packs says about them: how alike it is, and where the same place says something else."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from clustering_pipeline.matching.geometry import Floats
from clustering_pipeline.matching.text_reader import TextLine
from clustering_pipeline.wording import plain_letters, plain_words, string_similarity

CONFIDENT, VERY_CONFIDENT = 0.6, 0.8
# Similarity of lines at the same place that agree or conflict, and of a line that was read at another place.
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
    """A line's number on its pack, the line, its plain letters, and the words that these make."""

    number: int
    line: TextLine
    letters: str
    words: tuple[str, ...]


def pack_text(lines: Sequence[TextLine]) -> str:
    """Return the confidently read lines of a pack, one after the other, in plain letters."""
    return " ".join(filter(None, (plain_letters(line.text) for line in lines if line.confidence >= CONFIDENT)))


def ngram_vectors(texts: Sequence[str]) -> sparse.csr_matrix:
    """Return unit-length TF-IDF rows of character 3- and 4-grams within words; a text without any is a row of zeros.

    What many packs share (a seller's banner, "new", "free") counts little by itself.
    """
    if not any(len(text) >= _SHORTEST_LINE for text in texts):
        return sparse.csr_matrix((len(texts), 1))
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True, dtype=np.float32).fit_transform(texts)


def align_text(first: Sequence[TextLine], second: Sequence[TextLine], matrix: Floats) -> AlignedText:
    """Compare the lines that an affine map lays over each other.

    Lines agree when they are mostly the same letters. They conflict when they are mostly others, or when their numbers differ,
    and neither of the two was read elsewhere on the other pack: a map that is off by a line lays different lines of one
    product over each other.

    Args:
        matrix: float32 (2, 3), from shares of the first product frame's width and height to those of the second.
    """
    left, right = _readable(first), _readable(second)
    agreeing, conflicting = [], []
    for one in filter(_comparable, left):
        mapped = one.line.quad @ matrix[:, :2].T + matrix[:, 2]
        for other in filter(_comparable, right):
            # Digits alone on both are prices and codes.
            if (one.letters.isdigit() and other.letters.isdigit()) or not _overlapping(mapped, other.line.quad):
                continue
            if _say_the_same(one, other):
                agreeing.append((one.number, other.number))
            elif _contradict(one, other) and not (_read_on(right, one, other) or _read_on(left, other, one)):
                conflicting.append((one.number, other.number))
    return AlignedText(agreeing, conflicting)


def _readable(lines: Sequence[TextLine]) -> list[_ReadLine]:
    read = [
        _ReadLine(number, line, plain_letters(line.text), tuple(plain_words(line.text).split()))
        for number, line in enumerate(lines)
    ]
    return [one for one in read if one.line.confidence >= CONFIDENT and len(one.letters) >= _SHORTEST_LINE]


def _comparable(one: _ReadLine) -> bool:
    return one.line.confidence >= VERY_CONFIDENT


def _read_on(pack: Sequence[_ReadLine], line: _ReadLine, opposite: _ReadLine) -> bool:
    """Whether a pack says the same as `line` in any other line than the one that lies opposite."""
    return any(_say_the_same(line, one, _READ_AGAIN) for one in pack if one is not opposite)


def _say_the_same(first: _ReadLine, second: _ReadLine, least: float = _AGREE) -> bool:
    alike = string_similarity(first.letters, second.letters) >= least
    return alike and not _numbers_differ(first.letters, second.letters) and not _words_differ(first.words, second.words)


def _contradict(first: _ReadLine, second: _ReadLine) -> bool:
    if string_similarity(first.letters, second.letters) < _CONFLICT:
        return True
    return _numbers_differ(first.letters, second.letters) or _words_differ(first.words, second.words)


def _words_differ(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two lines with a word in common have other words besides ("ban ngay", "ban dem")."""
    common = set(first) & set(second)
    left, right = ("".join(word for word in words if word not in common) for words in (first, second))
    if not common or min(len(left), len(right)) < _SHORTEST_LINE:
        return False
    return string_similarity(left, right) < _CONFLICT


def _numbers_differ(first: str, second: str) -> bool:
    if string_similarity(first, second) == 1:
        return False
    left, right = set(_DIGITS.findall(first)), set(_DIGITS.findall(second))
    return bool(left and right) and not left & right


def _overlapping(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool:
    """Whether the quadrilaterals share at least 40 % of the smaller one."""
    low, high = np.maximum(first.min(axis=0), second.min(axis=0)), np.minimum(first.max(axis=0), second.max(axis=0))
    if (high <= low).any():
        return False
    common, _ = cv2.intersectConvexConvex(first.astype(np.float32), second.astype(np.float32))
    smaller = min(cv2.contourArea(first.astype(np.float32)), cv2.contourArea(second.astype(np.float32)))
    return common >= _OVERLAP * max(smaller, 1e-9)
