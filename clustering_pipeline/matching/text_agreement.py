"""What the text of two packs says about them: how alike it is, and where the same place says something else."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from clustering_pipeline.matching.geometry import Floats
from clustering_pipeline.matching.text_reader import TextLine

CONFIDENT, VERY_CONFIDENT = 0.6, 0.8
_AGREE, _CONFLICT = 0.6, 0.45
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


def plain_letters(text: str) -> str:
    """Return `text` in lower case without accents, punctuation and spaces: what survives any reader."""
    return plain_words(text).replace(" ", "")


def plain_words(text: str) -> str:
    """Return the words of `text` in lower case without accents and punctuation, parted by single spaces."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().replace("đ", "d"))
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join("".join(letter if letter.isalnum() else " " for letter in bare).split())


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

    Lines agree when they are mostly the same letters, and conflict when they are mostly others, or when their numbers differ.

    Args:
        matrix: float32 (2, 3), from shares of the first product frame's width and height to those of the second.
    """
    left = [(number, line, plain_letters(line.text)) for number, line in enumerate(first) if _comparable(line)]
    right = [(number, line, plain_letters(line.text)) for number, line in enumerate(second) if _comparable(line)]
    agreeing, conflicting = [], []
    for number, line, letters in left:
        mapped = line.quad @ matrix[:, :2].T + matrix[:, 2]
        for other, target, other_letters in right:
            if not _overlapping(mapped, target.quad):
                continue
            likeness = string_similarity(letters, other_letters)
            different = likeness < _CONFLICT or (likeness < 1 and _numbers_differ(letters, other_letters))
            if different:
                conflicting.append((number, other))
            elif likeness >= _AGREE:
                agreeing.append((number, other))
    return AlignedText(agreeing, conflicting)


def _numbers_differ(first: str, second: str) -> bool:
    left, right = set(_DIGITS.findall(first)), set(_DIGITS.findall(second))
    return bool(left and right) and not left & right


def string_similarity(first: str, second: str) -> float:
    """Return twice the matching characters over all characters; 1 when the shorter is part of the longer."""
    if not first or not second:
        return 0.0
    if first in second or second in first:
        return 1.0
    return SequenceMatcher(None, first, second, autojunk=False).ratio()


def _comparable(line: TextLine) -> bool:
    return line.confidence >= VERY_CONFIDENT and len(plain_letters(line.text)) >= _SHORTEST_LINE


def _overlapping(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool:
    """Whether the quadrilaterals share at least 40 % of the smaller one."""
    low, high = np.maximum(first.min(axis=0), second.min(axis=0)), np.minimum(first.max(axis=0), second.max(axis=0))
    if (high <= low).any():
        return False
    common, _ = cv2.intersectConvexConvex(first.astype(np.float32), second.astype(np.float32))
    smaller = min(cv2.contourArea(first.astype(np.float32)), cv2.contourArea(second.astype(np.float32)))
    return common >= _OVERLAP * max(smaller, 1e-9)
