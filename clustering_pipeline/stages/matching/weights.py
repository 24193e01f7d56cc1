"""From evidence to the one weight per pair that the clustering uses, and to a probability that a
person can read.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_FEWEST_COMMON = 6


def profile_disagreement(
    pairs: NDArray[np.int64],
    compared: NDArray[np.bool_],
    contradicting: NDArray[np.bool_],
    count: int,
) -> NDArray[np.float64]:
    """Return for each pair the share of common neighbours that contradict one of the two and not
    the other.

    Where OCR misses the one line that tells two variants apart, their neighbours still show it:
    what contradicts the one agrees with the other. Packs of one product contradict the same
    neighbours.

    Args:
        pairs: int64 (m, 2), rows of packs.
        compared: whether each pair's print and text could be compared.
        contradicting: whether each compared pair contradicts itself in words, numbers or copies.
        count: the number of packs.

    Returns:
        float64 (m,), 0 to 1; 0 where the two have fewer than six common neighbours.
    """
    if len(pairs) == 0:
        return np.zeros(0)
    against = _symmetric(pairs[compared & contradicting], count)
    agreed = _symmetric(pairs[compared & ~contradicting], count)
    one_sided = (against @ agreed).tocsr()
    one_sided = one_sided + one_sided.T
    both = against + agreed
    common = (both @ both).tocsr()
    left, right = pairs.T
    shared = np.asarray(common[left, right], np.float64).ravel()
    differing = np.asarray(one_sided[left, right], np.float64).ravel()
    return np.where(shared >= _FEWEST_COMMON, differing / np.maximum(shared, 1), 0.0)


def _symmetric(pairs: NDArray[np.int64], count: int) -> sparse.csr_matrix:
    half = sparse.coo_matrix(
        (np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count)
    ).tocsr()
    return half + half.T


Reals = NDArray[np.float64]

# Pairs that weigh less are refused; more than the largest says nothing more.
SMALLEST_WEIGHT = 0.6
LARGEST_WEIGHT = 6.0

_TEXT_ALONE, _COSINE_ALONE = 0.5, 0.3
# What each contradiction leaves of a pair's weight: a line at the same place that says something
# else (two at most are counted), other quantities, another number of copies, and neighbours that
# contradict only one of the two.
_LINE_DIFFERS, _NUMBERS_DIFFER, _COPIES_DIFFER, _NEIGHBOURS_DIFFER = 0.2, 0.12, 0.1, 0.15
# What is left where the titles have nothing in common, up to which cosine that is so, and from
# which on titles are alike.
_NAMES_DIFFER, _OTHER_NAME, _SAME_NAME = 0.2, 0.15, 0.55
_FEWEST_DIFFERING, _MOST_DIFFERING = 0.2, 0.5
# Natural logarithms of how much likelier it is between two products than within one that lines at
# the same place say something else, that titles contradict each other or have nothing in common,
# and that nothing contradicts although something could.
_LINES_CONTRADICT, _TITLES_CONTRADICT, _TITLES_APART, _NOTHING_CONTRADICTS = 3.0, 4.5, 3.0, -1.0
# Agreement of silhouettes: below the first two marks differ, from the second on they are one.
_OTHER_SHAPE, _SAME_SHAPE = 0.9, 0.985


@dataclass(frozen=True)
class PairEvidence:
    """The evidence of m pairs, one entry each.

    Attributes:
        cosine: of the vectors.
        print_weight: see `print_weight`; 0 where the print does not agree.
        overlay: how far the print that agrees is what a shop lays over its pictures, 0 to 1.
        shape: agreement of the silhouettes of two crops with little print, neither of them box or
            disc; NaN for others.
        bare: whether neither has print to speak of, so that a common silhouette makes them one.
        has_text: whether both packs bear six readable letters or more.
        text_similarity: cosine of character n-grams; 0 without text.
        conflicting: lines at the same place of the print that say something else.
        agreeing: lines at the same place of the print that say the same.
        contradicted: whether titles or print state different quantities, or titles replace a word.
        titles_contradict: whether their titles do; print also shows prices and neighbours on the
            shelf.
        title_similarity: cosine of the titles' character n-grams, NaN where either has none.
        copies_differ: whether one picture shows the pack more often than the other.
        neighbours_differ: share of common neighbours that contradict one of the two only; see
            `profile_disagreement`.
    """

    cosine: Reals
    print_weight: Reals
    overlay: Reals
    shape: Reals
    bare: NDArray[np.bool_]
    has_text: NDArray[np.bool_]
    text_similarity: Reals
    conflicting: NDArray[np.int64]
    agreeing: NDArray[np.int64]
    contradicted: NDArray[np.bool_]
    titles_contradict: NDArray[np.bool_]
    title_similarity: Reals
    copies_differ: NDArray[np.bool_]
    neighbours_differ: Reals


def pair_weights(evidence: PairEvidence, *, veto_numbers: bool, drop_weak: bool = True) -> Reals:
    """Return the weight of each pair, 0 where it is refused; weak pairs keep their small weight
    without `drop_weak`.

    Print that agrees counts more where the text agrees too; text alone joins packs whose print
    cannot be verified, and a distinctive silhouette joins marks that have none. Contradictions
    weaken a pair: near variants share all of their print but a line. A contradiction in number or
    title refuses it with `veto_numbers`.
    """
    by_text = np.where(evidence.has_text, (0.5 + evidence.text_similarity) / 0.85, 1.0)
    weight = np.minimum(evidence.print_weight, LARGEST_WEIGHT) * (1 - evidence.overlay) * by_text
    alone = (
        evidence.has_text
        & (evidence.text_similarity >= _TEXT_ALONE)
        & (evidence.cosine > _COSINE_ALONE)
    )
    by_text_alone = np.maximum(SMALLEST_WEIGHT + 0.1, evidence.text_similarity)
    weight = np.where(alone & (weight <= SMALLEST_WEIGHT), by_text_alone, weight)
    weight = np.minimum(_with_shape(weight, evidence), LARGEST_WEIGHT) * _left_by_contradictions(
        evidence, veto_numbers
    )
    return np.where(weight > SMALLEST_WEIGHT, weight, 0.0) if drop_weak else weight


def probability_of(weight: Reals) -> Reals:
    """Return how likely accepted pairs of such a weight show one product, 0 to 1.

    A logistic curve fitted to one half of the products of two sets of real photos and of two drawn
    catalogues of near variants with and without titles, each set counting alike (Brier score 0.121
    there, 0.122 on the other half). It errs on the side of doubt where a catalogue has few near
    variants.
    """
    return 1.0 / (1.0 + np.exp(-0.64 * (weight - 1.65)))


def contradiction_of(evidence: PairEvidence) -> Reals:
    """Return how strongly each pair contradicts being one product, as a natural logarithm of odds:
    float64 (m,).

    Negative where the two agree in what could have told them apart; 0 where nothing could, and
    where no print agrees.
    """
    lines = np.where(evidence.conflicting > 0, _LINES_CONTRADICT, 0.0)
    apart = np.where(evidence.title_similarity < _OTHER_NAME, _TITLES_APART, 0.0)
    against = lines + apart + np.where(evidence.titles_contradict, _TITLES_CONTRADICT, 0.0)
    could = (
        (evidence.agreeing > 0) | np.isfinite(evidence.title_similarity)
    ) & ~evidence.contradicted
    against = np.where((against == 0) & could, _NOTHING_CONTRADICTS, against)
    return np.where(evidence.print_weight > SMALLEST_WEIGHT, against, 0.0)


def _left_by_contradictions(evidence: PairEvidence, veto_numbers: bool) -> Reals:
    """Return what share of its weight each pair keeps."""
    span = _MOST_DIFFERING - _FEWEST_DIFFERING
    doubt = np.clip((evidence.neighbours_differ - _FEWEST_DIFFERING) / span, 0, 1)
    return np.asarray(
        _LINE_DIFFERS ** np.minimum(evidence.conflicting, 2)
        * np.where(evidence.contradicted, 0.0 if veto_numbers else _NUMBERS_DIFFER, 1.0)
        * np.interp(
            np.nan_to_num(evidence.title_similarity, nan=1.0),
            (_OTHER_NAME, _SAME_NAME),
            (_NAMES_DIFFER, 1.0),
        )
        * np.where(evidence.copies_differ, _COPIES_DIFFER, 1.0)
        * _NEIGHBOURS_DIFFER**doubt
    )


def _with_shape(weight: Reals, evidence: PairEvidence) -> Reals:
    by_shape = 1 + (LARGEST_WEIGHT - 1) * (evidence.shape - _SAME_SHAPE) / (1 - _SAME_SHAPE)
    joined = np.where(
        evidence.bare & (evidence.shape >= _SAME_SHAPE), np.maximum(weight, by_shape), weight
    )
    return np.where(evidence.shape < _OTHER_SHAPE, 0.0, joined)
