"""From evidence to the one weight per pair that the grouping uses, and to a probability that a person can read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

# Pairs that weigh less are refused; more than the largest says nothing more.
SMALLEST_WEIGHT = 0.6
LARGEST_WEIGHT = 6.0

_TEXT_ALONE, _COSINE_ALONE = 0.5, 0.3
_NUMBERS_DIFFER, _COPIES_DIFFER = 0.4, 0.3
# Intersection over union of silhouettes: below the first two marks differ, from the second on they are one.
_OTHER_SHAPE, _SAME_SHAPE = 0.7, 0.85


@dataclass(frozen=True)
class PairEvidence:
    """The evidence of m pairs, one entry each.

    Attributes:
        cosine: of the vectors.
        print_weight: see `print_weight`; 0 where the print does not agree.
        overlay: how far the print that agrees is what a shop lays over its pictures, 0 to 1.
        shape: agreement of the silhouettes of two crops with little print, NaN for others.
        distinctive: whether both silhouettes are neither box nor disc.
        has_text: whether both packs bear six readable letters or more.
        text_similarity: cosine of character n-grams; 0 without text.
        agreeing, conflicting: lines of print at the same place that say the same, or something else.
        contradicted: whether the two state different quantities.
        copies_differ: whether one picture shows the pack more often than the other.
    """

    cosine: Reals
    print_weight: Reals
    overlay: Reals
    shape: Reals
    distinctive: NDArray[np.bool_]
    has_text: NDArray[np.bool_]
    text_similarity: Reals
    agreeing: NDArray[np.int64]
    conflicting: NDArray[np.int64]
    contradicted: NDArray[np.bool_]
    copies_differ: NDArray[np.bool_]


def pair_weights(evidence: PairEvidence, *, veto_numbers: bool, drop_weak: bool = True) -> Reals:
    """Return the weight of each pair, 0 where it is refused; weak pairs keep their small weight without `drop_weak`.

    Print that agrees counts more where the text agrees too, less where lines at the same place differ; text alone joins packs
    whose print cannot be verified, and a distinctive silhouette joins marks that have none. A contradiction in number weakens
    a pair, or with `veto_numbers` refuses it.
    """
    by_text = np.where(evidence.has_text, (0.5 + evidence.text_similarity) / 0.85, 1.0)
    by_lines = (evidence.agreeing + 1) / (evidence.agreeing + 2 * evidence.conflicting + 1)
    weight = evidence.print_weight * (1 - evidence.overlay) * by_text * by_lines
    alone = evidence.has_text & (evidence.text_similarity >= _TEXT_ALONE) & (evidence.cosine > _COSINE_ALONE)
    by_text_alone = np.maximum(SMALLEST_WEIGHT + 0.1, evidence.text_similarity)
    weight = np.where(alone & (weight <= SMALLEST_WEIGHT), by_text_alone, weight)
    weight = _with_shape(weight, evidence)
    penalty = 0.0 if veto_numbers else _NUMBERS_DIFFER
    weight = weight * np.where(evidence.contradicted, penalty, 1.0) * np.where(evidence.copies_differ, _COPIES_DIFFER, 1.0)
    weight = np.minimum(weight, LARGEST_WEIGHT)
    return np.where(weight > SMALLEST_WEIGHT, weight, 0.0) if drop_weak else weight


def probability_of(weight: Reals) -> Reals:
    """Return how likely pairs of such a weight show one product: a logistic curve fitted to synthetic catalogues."""
    return 1.0 / (1.0 + np.exp(-2.2 * (weight - 0.9)))


def _with_shape(weight: Reals, evidence: PairEvidence) -> Reals:
    known = evidence.distinctive & np.isfinite(evidence.shape)
    by_shape = 1 + (LARGEST_WEIGHT - 1) * (evidence.shape - _SAME_SHAPE) / (1 - _SAME_SHAPE)
    joined = np.where(known & (evidence.shape >= _SAME_SHAPE), np.maximum(weight, by_shape), weight)
    return np.where(known & (evidence.shape < _OTHER_SHAPE), 0.0, joined)
