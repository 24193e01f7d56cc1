"""Two products judged by themselves, outside any category: by their print, their silhouettes and
how many packs they show.
"""

from dataclasses import dataclass

import numpy as np

from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stages.features import LocalFeatures
from clustering_pipeline.stages.matching.geometry import Floats
from clustering_pipeline.stages.matching.shapes import plain_pairs, shape_agreement, turned_shape
from clustering_pipeline.stages.matching.verification import PrintEvidence, print_weight, verify
from clustering_pipeline.stages.matching.weights import PairEvidence, pair_weights, probability_of


@dataclass(frozen=True)
class PairComparison:
    """What a pair of products weighs, how likely they are one product, and how many points of their
    print agree.
    """

    weight: float
    probability: float
    matched_points: int


def compare_pair(
    first: LocalFeatures,
    second: LocalFeatures,
    settings: MatchSettings,
    descriptors: tuple[Floats, Floats] | None = None,
) -> PairComparison:
    """Return the judgement that the grouping would make of a pair whose packs nobody read.

    What a category adds is left out: texts, titles, overlays and neighbours. `descriptors`: the
    unit descriptors of both, float32 (n, 128), where the caller has them.
    """
    evidence = verify(first, second, settings.verification, descriptors)
    weight = float(
        pair_weights(_evidence(first, second, evidence, settings), veto_numbers=False)[0]
    )
    probability = float(probability_of(np.array([weight]))[0]) if weight > 0 else 0.0
    return PairComparison(weight, probability, 0 if evidence.match is None else len(evidence.match))


def _evidence(
    first: LocalFeatures, second: LocalFeatures, evidence: PrintEvidence, settings: MatchSettings
) -> PairEvidence:
    measures = [
        np.array([value], np.float64)
        for value in (evidence.cells, evidence.agreement, evidence.centre_agreement)
    ]
    keypoints, both = np.array([len(first), len(second)]), np.array([[0, 1]])
    plain = plain_pairs(keypoints, both, settings.plain_keypoints).all()
    shape = shape_agreement(turned_shape(first), turned_shape(second)) if plain else float("nan")
    nothing = np.zeros(1)
    return PairEvidence(
        cosine=nothing,
        print_weight=print_weight(*measures) if evidence.match is not None else nothing,
        overlay=nothing,
        shape=np.array([shape]),
        bare=np.array([keypoints.max() <= settings.plain_keypoints]),
        has_text=np.array([False]),
        text_similarity=nothing,
        agreeing=np.zeros(1, np.int64),
        conflicting=np.zeros(1, np.int64),
        contradicted=np.array([False]),
        titles_contradict=np.array([False]),
        title_similarity=np.full(1, np.nan),
        copies_differ=np.array([(first.copies > 1) != (second.copies > 1)]),
        neighbours_differ=nothing,
    )
