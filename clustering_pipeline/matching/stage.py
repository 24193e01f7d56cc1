"""Pairs of crops that show the same product, with the evidence."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.grouping import communities
from clustering_pipeline.manifests import MATCHES, conform, empty
from clustering_pipeline.matching.candidates import friends_of_friends, nearest_pairs
from clustering_pipeline.matching.pairs import print_evidence
from clustering_pipeline.matching.products import Products, collect_products
from clustering_pipeline.matching.text_evidence import TextEvidence, compare_packs, compare_titles, number_conflicts
from clustering_pipeline.matching.text_reader import TextLine
from clustering_pipeline.matching.texts import read_texts
from clustering_pipeline.matching.weights import (
    LARGEST_WEIGHT,
    SMALLEST_WEIGHT,
    PairEvidence,
    Reals,
    pair_weights,
    probability_of,
    weights_of_print,
)
from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stage import StageContext, StageResult

Pairs = NDArray[np.int64]

# Print that is neither clearly shared nor clearly different: here text can turn the balance.
_DOUBTFUL = (0.15, 2.5)


def match_crops(
    embeddings: pd.DataFrame,
    local_features: pd.DataFrame,
    clean_images: pd.DataFrame,
    crops: pd.DataFrame,
    raw_images: pd.DataFrame,
    catalogue: pd.DataFrame,
    semantic_duplicates: pd.DataFrame,
    settings: MatchSettings,
    context: StageContext,
) -> StageResult:
    """Return MATCHES: a row per pair of keepers with any evidence; `weight` is 0 where the pair is refused.

    Candidates are nearest neighbours of the vectors and friends of verified friends; each is verified by its print, and by
    the text on the pack where that can change something.
    """
    if not settings.enabled:
        return StageResult(empty(MATCHES), {"crops": 0, "candidates": 0})
    products = collect_products(
        embeddings,
        local_features,
        clean_images,
        crops,
        raw_images,
        catalogue,
        semantic_duplicates,
        main_only=settings.crops == "main",
    )
    pairs, raw, cached = _verified_pairs(products, settings, context)
    lines, read_before = _read_doubtful(products, pairs, _print_weights(raw), settings, context)
    text = compare_packs(raw, pairs, lines, len(products))
    judged = _judge(products, pairs, raw, text, lines, settings)
    shown = judged[(judged["inliers"] > 0) | (judged["weight"] > 0)].reset_index(drop=True)
    facts = {
        "crops": len(products),
        "candidates": len(pairs),
        "verified": int((raw["inliers"] > 0).sum()),
        "accepted": int((judged["weight"] > 0).sum()),
        "pairs_cached": cached,
        "packs_read": len(lines) - read_before,
        "packs_cached": read_before,
    }
    return StageResult(conform(shown, MATCHES), facts)


def _verified_pairs(products: Products, settings: MatchSettings, context: StageContext) -> tuple[Pairs, pd.DataFrame, int]:
    """Return the candidates with their print evidence: nearest neighbours first, then friends of verified friends."""
    pairs = nearest_pairs(products.vectors, settings.neighbours)
    raw, cached = print_evidence(pairs, products.features, settings, context)
    for _ in range(settings.friend_rounds):
        weights = _print_weights(raw)
        verified = weights > SMALLEST_WEIGHT
        found = friends_of_friends(pairs, np.where(verified, weights, 0.0), len(products), settings.friends)
        if len(found) == 0:
            break
        more, held = print_evidence(found, products.features, settings, context)
        pairs, raw = np.concatenate([pairs, found]), pd.concat([raw, more], ignore_index=True)
        cached += held
    return pairs, raw, cached


def _read_doubtful(
    products: Products, pairs: Pairs, weights: Reals, settings: MatchSettings, context: StageContext
) -> tuple[dict[int, list[TextLine]], int]:
    """Read the packs whose text can change the grouping: at doubtful pairs, at pairs across groups, and those left alone."""
    if not settings.text or len(products) == 0:
        return {}, 0
    strong = weights > SMALLEST_WEIGHT
    edges = np.minimum(weights[strong], LARGEST_WEIGHT)
    groups = communities(len(products), pairs[strong, 0], pairs[strong, 1], edges, products.keys)
    doubtful = (weights > _DOUBTFUL[0]) & (weights < _DOUBTFUL[1])
    across = (weights > _DOUBTFUL[0]) & (groups[pairs[:, 0]] != groups[pairs[:, 1]])
    wanted = np.bincount(groups)[groups] == 1
    wanted[pairs[doubtful | across].ravel()] = True
    return read_texts(products, np.flatnonzero(wanted).tolist(), settings.reader, context)


def _judge(
    products: Products,
    pairs: Pairs,
    raw: pd.DataFrame,
    text: TextEvidence,
    lines: dict[int, list[TextLine]],
    settings: MatchSettings,
) -> pd.DataFrame:
    """Return the columns of MATCHES for every candidate."""
    weights = _print_weights(raw)
    conflicts = number_conflicts(products, pairs, lines, (weights > 0) | text.present)
    cosine = np.einsum("ij,ij->i", products.vectors[pairs[:, 0]], products.vectors[pairs[:, 1]]).astype(np.float64)
    evidence = PairEvidence(
        cosine=cosine,
        print_weight=weights,
        has_text=text.present,
        text_similarity=text.similarity,
        agreeing=text.agreeing,
        conflicting=text.conflicting,
        contradicted=np.array([conflict is not None for conflict in conflicts], bool),
    )
    weight = pair_weights(evidence, veto_numbers=settings.number_conflict == "veto")
    names = np.array(products.crops, dtype=object)
    return pd.DataFrame(
        {
            "crop_a": names[pairs[:, 0]],
            "crop_b": names[pairs[:, 1]],
            "cosine": cosine,
            "inliers": raw["inliers"].astype("Int64"),
            "print_weight": weights,
            "text_similarity": np.where(text.present, text.similarity, np.nan),
            "lines_agreeing": text.agreeing,
            "lines_conflicting": text.conflicting,
            "colour_similarity": np.where(raw["inliers"] > 0, raw["colour"], np.nan),
            "title_similarity": compare_titles(products, pairs),
            "number_conflict": conflicts,
            "probability": np.where(weight > 0, probability_of(weight), 0.0),
            "weight": weight,
        }
    )


def _print_weights(raw: pd.DataFrame) -> Reals:
    cells, agreement, centre = (raw[name].to_numpy(np.float64) for name in ("cells", "agreement", "centre_agreement"))
    return weights_of_print(cells, agreement, centre)
