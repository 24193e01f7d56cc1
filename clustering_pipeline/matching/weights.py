"""From evidence to the one weight per pair that the grouping uses, and to a probability that a person can read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.matching.verification import print_weight

Reals = NDArray[np.float64]

# Measured on products that were not used to choose them; see benchmarks.
SMALLEST_WEIGHT = 0.6
LARGEST_WEIGHT = 6.0
_TEXT_ALONE, _COSINE_ALONE = 0.5, 0.3


@dataclass(frozen=True)
class PairEvidence:
    """The evidence of m pairs, one entry each.

    Attributes:
        cosine: of the vectors.
        print_weight: see `print_weight`; 0 where the print does not agree.
        has_text: whether both packs bear six readable letters or more.
        text_similarity: cosine of character n-grams; 0 without text.
        agreeing, conflicting: lines of print at the same place that say the same, or something else.
        contradicted: whether the two state different quantities.
    """

    cosine: Reals
    print_weight: Reals
    has_text: NDArray[np.bool_]
    text_similarity: Reals
    agreeing: NDArray[np.int64]
    conflicting: NDArray[np.int64]
    contradicted: NDArray[np.bool_]


def pair_weights(evidence: PairEvidence, *, veto_numbers: bool) -> Reals:
    """Return the weight of each pair, 0 where it is refused.

    Print that agrees counts more where the text agrees too, less where lines at the same place differ; text alone joins packs
    whose print cannot be verified. A contradiction in number halves the weight, or with `veto_numbers` refuses the pair.
    """
    by_text = (0.5 + evidence.text_similarity) / 0.85
    weight = evidence.print_weight * np.where(evidence.has_text, by_text, 1.0)
    weight = weight * (evidence.agreeing + 1) / (evidence.agreeing + 2 * evidence.conflicting + 1)
    alone = evidence.has_text & (evidence.text_similarity >= _TEXT_ALONE) & (evidence.cosine > _COSINE_ALONE)
    weak = weight <= SMALLEST_WEIGHT
    weight = np.where(alone & weak, np.maximum(SMALLEST_WEIGHT + 0.1, evidence.text_similarity), weight)
    penalty = 0.0 if veto_numbers else 0.5
    weight = np.where(evidence.contradicted, weight * penalty, weight)
    return np.where(weight > SMALLEST_WEIGHT, np.minimum(weight, LARGEST_WEIGHT), 0.0)


def probability_of(weight: Reals) -> Reals:
    """Return how likely pairs of such a weight show one product: a logistic curve fitted to synthetic catalogues."""
    return 1.0 / (1.0 + np.exp(-2.2 * (weight - 0.9)))


def weights_of_print(cells: Reals, agreement: Reals, centre_agreement: Reals) -> Reals:
    """Return `print_weight` of evidence columns; nothing verified weighs nothing."""
    return np.nan_to_num(print_weight(cells, agreement, centre_agreement))
