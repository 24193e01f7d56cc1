"""From the evidence of all candidates to the rows of the matches manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stages.matching.geometry import Floats
from clustering_pipeline.stages.matching.kept_crops import KeptCrops
from clustering_pipeline.stages.matching.overlays import overlay_shares, without_overlays
from clustering_pipeline.stages.matching.text_evidence import TextEvidence, TitleEvidence, compare_packs, compare_titles
from clustering_pipeline.stages.matching.text_reader import TextLine
from clustering_pipeline.stages.matching.verification import print_weight
from clustering_pipeline.stages.matching.weights import (
    SMALLEST_WEIGHT,
    PairEvidence,
    Reals,
    contradiction_of,
    pair_weights,
    probability_of,
    profile_disagreement,
)

# Pairs whose vectors are held in memory at once.
_PAIR_BLOCK = 65_536
# What of the raw evidence is shown as it is.
_SHOWN = (
    "palette_similarity",
    "aligned_cells",
    "aligned_correlation",
    "aligned_low_correlation",
    "aligned_worst_block",
    "aligned_hue",
    "aligned_tint",
    "aligned_chroma_cosine",
    "aligned_one_coloured",
    "aligned_patch",
    "aligned_differing",
)


@dataclass(frozen=True)
class Candidates:
    """Pairs of products with what their pictures show, one entry each.

    Attributes:
        pairs: int64 (m, 2), rows of the products, the smaller first.
        raw: the cached evidence of print and silhouettes.
        bare: whether neither has print to speak of.
    """

    pairs: NDArray[np.int64]
    raw: pd.DataFrame
    bare: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pairs)

    def joined(self, other: "Candidates") -> "Candidates":
        """Return these candidates followed by others."""
        return Candidates(
            np.concatenate([self.pairs, other.pairs]),
            pd.concat([self.raw, other.raw], ignore_index=True),
            np.concatenate([self.bare, other.bare]),
        )


def picture_weights(products: KeptCrops, candidates: Candidates) -> Reals:
    """Return the weight of each candidate by its pictures alone, before any text is read."""
    count = len(candidates)
    none, unknown = np.zeros(count, np.int64), np.full(count, np.nan)
    nothing = TextEvidence(np.zeros(count, bool), np.zeros(count), none, none, unknown, unknown)
    unsaid = TitleEvidence(np.full(count, np.nan), [None] * count, [None] * count)
    evidence = _evidence(products, candidates, nothing, unsaid)
    return pair_weights(evidence, veto_numbers=False, drop_weak=False)


def judge(
    products: KeptCrops, candidates: Candidates, lines: Mapping[int, Sequence[TextLine]], settings: MatchSettings
) -> pd.DataFrame:
    """Return the columns of MATCHES for every candidate; `lines` are those read on the packs, by row."""
    pairs, raw = candidates.pairs, candidates.raw
    lines = without_overlays(products, lines, pairs, raw)
    text = compare_packs(raw, pairs, lines, len(products))
    titles = compare_titles(products, pairs, lines, bundles_differ=settings.bundles == "apart")
    evidence = _evidence(products, candidates, text, titles)
    weight = pair_weights(evidence, veto_numbers=settings.number_conflict == "veto")
    names = np.array(products.crops, dtype=object)
    return pd.DataFrame(
        {
            "crop_a": names[pairs[:, 0]],
            "crop_b": names[pairs[:, 1]],
            "cosine": evidence.cosine,
            "inliers": raw["inliers"].astype("Int64"),
            "print_weight": evidence.print_weight,
            "text_similarity": np.where(text.present, text.similarity, np.nan),
            "lines_agreeing": text.agreeing,
            "lines_conflicting": text.conflicting,
            "colour_similarity": np.where(raw["inliers"] > 0, raw["colour"], np.nan),
            "title_similarity": titles.similarity,
            "number_conflict": titles.conflicts,
            "probability": np.where(weight > 0, probability_of(weight), 0.0),
            "weight": weight,
            "shape_similarity": evidence.shape,
            "overlay_share": evidence.overlay,
            "contradiction": contradiction_of(evidence),
            **{name: raw[name] for name in _SHOWN},
            "text_csls": text.csls,
            "text_rank": text.rank,
        }
    )


def print_weights(raw: pd.DataFrame) -> Reals:
    """Return the weight of verified print of raw evidence, 0 where the print does not agree."""
    cells, agreement, centre = (raw[name].to_numpy(np.float64) for name in ("cells", "agreement", "centre_agreement"))
    return np.nan_to_num(print_weight(cells, agreement, centre))


def pair_cosines(vectors: Floats, pairs: NDArray[np.int64]) -> Reals:
    """Return the dot product of each pair of rows; NaN where there are no vectors."""
    if len(vectors) == 0:
        return np.full(len(pairs), np.nan)
    blocks = [pairs[start : start + _PAIR_BLOCK] for start in range(0, len(pairs), _PAIR_BLOCK)]
    products = [np.einsum("ij,ij->i", vectors[block[:, 0]], vectors[block[:, 1]]) for block in blocks]
    return np.concatenate([np.zeros(0), *products])


def _evidence(products: KeptCrops, candidates: Candidates, text: TextEvidence, titles: TitleEvidence) -> PairEvidence:
    left, right = candidates.pairs.T
    weight = print_weights(candidates.raw)
    contradicted = np.array([conflict is not None for conflict in titles.conflicts], bool)
    copies_differ = (products.copies[left] > 1) != (products.copies[right] > 1)
    contradicting = (text.conflicting > 0) | contradicted | copies_differ
    compared = text.present & (weight > SMALLEST_WEIGHT)
    return PairEvidence(
        cosine=pair_cosines(products.vectors, candidates.pairs),
        print_weight=weight,
        overlay=overlay_shares(products, candidates.pairs, candidates.raw),
        shape=candidates.raw["shape"].to_numpy(np.float64),
        bare=candidates.bare,
        has_text=text.present,
        text_similarity=text.similarity,
        conflicting=text.conflicting,
        agreeing=text.agreeing,
        contradicted=contradicted,
        titles_contradict=np.array([conflict is not None for conflict in titles.in_titles], bool),
        title_similarity=titles.similarity,
        copies_differ=copies_differ,
        neighbours_differ=profile_disagreement(candidates.pairs, compared, contradicting, len(products)),
    )
