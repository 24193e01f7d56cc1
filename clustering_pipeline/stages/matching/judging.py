"""From the evidence of all candidates to the rows of the matches manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.core.evidence_model import (
    PAIR_BLOCK,
    EvidenceModel,
    Reals,
    load_model,
    prior_shift,
    probability_of,
)
from clustering_pipeline.core.text import gazetteer, plain_words
from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stages.matching.kept_crops import KeptCrops
from clustering_pipeline.stages.matching.overlays import overlay_shares, without_overlays
from clustering_pipeline.stages.matching.pair_features import (
    CONTEXT,
    Features,
    attribute_features,
    context_features,
    crowd,
    disagreements,
    encoder_features,
    line_features,
    partner_features,
    print_features,
    shares_of_best,
    shop_features,
    standing,
    text_features,
)
from clustering_pipeline.stages.matching.text_evidence import (
    TextEvidence,
    TitleEvidence,
    compare_packs,
    compare_titles,
    other_sizes,
    pack_text,
    stated_attributes,
)
from clustering_pipeline.stages.matching.text_reader import TextLine
from clustering_pipeline.stages.matching.verification import Floats, print_weight
from clustering_pipeline.stages.matching.weights import (
    LARGEST_WEIGHT,
    SMALLEST_WEIGHT,
    PairEvidence,
    contradiction_of,
    pair_weights,
    plain_log_odds,
    profile_disagreement,
    told_reasons,
)

RowVectors = tuple[NDArray[np.int64], NDArray[np.float32]]
# Log-odds of one product from which on a pair holds its crops together.
MARGIN = 0.0
# How much of the category's own share of true pairs counts.
OWN_SHARE = 0.25
# Columns of the raw evidence that are features as they are: colours of the packs, pairs laid over
# each other, and their map.
_AS_THEY_ARE = ("palette_", "aligned_", "map_")
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


@dataclass(frozen=True)
class PairModels:
    """`alone` judges each pair by what its two crops show, `together` knows besides what `alone`
    makes of the other pairs of both.
    """

    alone: EvidenceModel
    together: EvidenceModel


@lru_cache(maxsize=1)
def shipped_models() -> PairModels:
    """Return the models that come with the package."""
    folder = Path(__file__).parent
    return PairModels(
        load_model(folder / "pair_evidence.json"), load_model(folder / "partner_evidence.json")
    )


def picture_weights(products: KeptCrops, candidates: Candidates) -> Reals:
    """Return what the print and silhouettes of each candidate weigh, before any text is read."""
    count = len(candidates)
    none, unknown = np.zeros(count, np.int64), np.full(count, np.nan)
    nothing = TextEvidence(np.zeros(count, bool), np.zeros(count), none, none, unknown, unknown)
    unsaid = TitleEvidence(np.full(count, np.nan), [None] * count, [None] * count)
    evidence = _evidence(products, candidates, nothing, unsaid)
    return pair_weights(evidence, veto_numbers=False, drop_weak=False)


@dataclass(frozen=True)
class Examined:
    """All that is known of the candidates, an entry each: `features` are what the evidence model
    adds up.
    """

    candidates: Candidates
    text: TextEvidence
    titles: TitleEvidence
    evidence: PairEvidence
    features: Features


def examine(
    products: KeptCrops,
    candidates: Candidates,
    lines: Mapping[int, Sequence[TextLine]],
    settings: MatchSettings,
    further: Sequence[RowVectors] = (),
) -> Examined:
    """Return what pictures, texts and titles show of every candidate.

    `lines` are those read on the packs, by row; `further` rows of products and their vectors by
    another encoder.
    """
    pairs, raw = candidates.pairs, candidates.raw
    lines = without_overlays(products, lines, pairs, raw)
    sizes_differ = settings.sizes == "apart"
    text = compare_packs(raw, pairs, lines, len(products), sizes_differ=sizes_differ)
    titles = compare_titles(
        products,
        pairs,
        lines,
        bundles_differ=settings.bundles == "apart",
        sizes_differ=sizes_differ,
    )
    evidence = _evidence(products, candidates, text, titles)
    return Examined(
        candidates,
        text,
        titles,
        evidence,
        {
            **_features(products, candidates, lines, text, titles, evidence, further),
            **attribute_features(
                pairs, stated_attributes(products, lines, gazetteer(settings.own_phrases))
            ),
        },
    )


def log_odds_alone(model: EvidenceModel, features: Features, size: int) -> Reals:
    """Return the log-odds of one product of `size` candidates, each by itself (float64), moved
    towards the share of true pairs among them.

    Categories differ in how many listings a product has. A quarter of what the candidates
    themselves tell about that counts.
    """
    log_odds = model.log_odds(features, size)
    return log_odds + OWN_SHARE * prior_shift(log_odds, model.prior)


def with_partners(features: Features, pairs: NDArray[np.int64], alone: Reals) -> Features:
    """Return the features with what the other pairs of both crops say, given the log-odds of each
    pair alone.
    """
    return features | partner_features(pairs, alone, int(pairs.max(initial=0)) + 1)


def judge(
    products: KeptCrops, examined: Examined, models: PairModels, settings: MatchSettings
) -> pd.DataFrame:
    """Return the columns of MATCHES for every candidate.

    Its log-odds are the mean of what is made of a pair alone and beside the others: grouping weighs
    what others say once more.
    """
    pairs, raw = examined.candidates.pairs, examined.candidates.raw
    text, titles, evidence = examined.text, examined.titles, examined.evidence
    alone = log_odds_alone(models.alone, examined.features, len(pairs))
    features = with_partners(examined.features, pairs, alone)
    log_odds = (alone + models.together.log_odds(features, len(pairs))) / 2
    if settings.plain_pairs == "calibrated":
        log_odds = _with_plain_pairs(log_odds, examined)
    refused = evidence.contradicted & (settings.number_conflict == "veto")
    weight = np.where(refused, 0.0, np.clip(log_odds - MARGIN, 0.0, LARGEST_WEIGHT))
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
            "probability": np.where(refused, 0.0, probability_of(log_odds)),
            "weight": weight,
            "shape_similarity": evidence.shape,
            "overlay_share": evidence.overlay,
            "contradiction": contradiction_of(evidence),
            "log_odds": log_odds,
            "reasons": _reasons(models, features, weight > 0),
            **{name: raw[name] for name in _SHOWN},
            "text_csls": text.csls,
            "text_rank": text.rank,
            "same_shop": examined.features.get("shop_same", np.zeros(len(pairs))) == 1,
        }
    )


def _reasons(
    models: PairModels, features: Features, is_accepted: NDArray[np.bool_]
) -> NDArray[np.object_]:
    """Return what decided each accepted pair, None for others."""
    accepted = np.flatnonzero(is_accepted)
    reasons = np.full(len(is_accepted), None, object)
    for start in range(0, len(accepted), PAIR_BLOCK):
        rows = accepted[start : start + PAIR_BLOCK]
        some = {name: values[rows] for name, values in features.items()}
        reasons[rows] = told_reasons(_mean_contributions(models, some, len(rows)), len(rows))
    return reasons


def _mean_contributions(models: PairModels, features: Features, size: int) -> Features:
    parts = [model.contributions(features, size) for model in (models.alone, models.together)]
    # What is made of a pair alone is told by what made it, and context is no reason.
    names = dict.fromkeys(
        name
        for part in parts
        for name in part
        if name != "by_itself" and not name.startswith(CONTEXT)
    )
    nothing = np.zeros(size)
    return {name: sum((part.get(name, nothing) for part in parts), nothing) / 2 for name in names}


def _with_plain_pairs(log_odds: Reals, examined: Examined) -> Reals:
    """Return the log-odds with those of plain pairs by the encoder alone; a pair that contradicts
    itself keeps its own.
    """
    evidence = examined.evidence
    alike = examined.features.get("encoder_above")
    if alike is None:
        return log_odds
    contradicted = evidence.contradicted | evidence.titles_contradict | (evidence.conflicting > 0)
    compared, verified = np.isfinite(alike), evidence.print_weight > SMALLEST_WEIGHT
    plain = compared & evidence.bare & ~evidence.has_text & ~contradicted
    others = compared & ~evidence.bare & ~verified
    plain_odds = plain_log_odds(
        alike[compared & verified & ~contradicted], alike[others], alike[plain]
    )
    if plain_odds is None:
        return log_odds
    judged = log_odds.copy()
    judged[plain] = plain_odds
    return judged


def print_weights(raw: pd.DataFrame) -> Reals:
    """Return the weight of verified print of raw evidence, 0 where the print does not agree."""
    cells, agreement, centre = (
        raw[name].to_numpy(np.float64) for name in ("cells", "agreement", "centre_agreement")
    )
    return np.nan_to_num(print_weight(cells, agreement, centre))


def _features(
    products: KeptCrops,
    candidates: Candidates,
    lines: Mapping[int, Sequence[TextLine]],
    text: TextEvidence,
    titles: TitleEvidence,
    evidence: PairEvidence,
    further: Sequence[RowVectors],
) -> Features:
    pairs, raw, count = candidates.pairs, candidates.raw, len(products)
    verified = evidence.print_weight > 0
    overlap = (
        raw[["overlap_first", "overlap_second"]].to_numpy(np.float64).min(axis=1, initial=np.inf)
    )
    said = text_features(
        "text", pairs, _texts(lines, count), np.where(text.present, text.similarity, np.nan)
    )
    named = text_features("title", pairs, _titles(products), titles.similarity)
    weight = pair_weights(evidence, veto_numbers=False, drop_weak=False)
    printed = np.array([conflict is not None for conflict in titles.in_print], np.float64)
    features = {
        **print_features(pairs, evidence.print_weight, overlap, evidence.bare, count),
        "colour": np.where(verified, raw["colour"].to_numpy(np.float64), np.nan),
        "shape": evidence.shape,
        "overlay": np.where(verified, evidence.overlay, np.nan),
        "copies_differ": evidence.copies_differ.astype(np.float64),
        **said,
        **line_features(text.agreeing, text.conflicting, verified & text.present),
        "numbers_differ": np.where(text.present, printed, np.nan),
        **named,
        "titles_contradict": np.where(
            np.isfinite(titles.similarity), evidence.titles_contradict, np.nan
        ),
        "rules": np.log1p(weight),
        **shares_of_best("rules", pairs, weight, count, SMALLEST_WEIGHT),
        **encoder_features("encoder", pairs, products.vectors, evidence.cosine),
        **_second_encoder(pairs, further),
        **shop_features(pairs, products.shops, other_sizes(products, pairs, lines)),
        **standing("palette", pairs, raw["palette_similarity"].to_numpy(np.float64), count),
        **_context(products, pairs, lines),
    }
    features |= {
        name: raw[name].to_numpy(np.float64)
        for name in map(str, raw)
        if name.startswith(_AS_THEY_ARE)
    }
    features["crowd"] = crowd(pairs, evidence.print_weight, disagreements(features), count)
    return features


def _second_encoder(pairs: NDArray[np.int64], further: Sequence[RowVectors]) -> Features:
    """Return the features of the first further encoder, nothing for pairs of which it does not know
    both crops.
    """
    if not further:
        return {}
    rows, vectors = further[0]
    place = np.full(int(max(pairs.max(initial=0), rows.max(initial=0))) + 1, -1)
    place[rows] = np.arange(len(rows))
    both = (place[pairs] >= 0).all(axis=1)
    inner = place[pairs[both]]
    features = encoder_features("second", inner, vectors, pair_cosines(vectors, inner))
    result: Features = {name: np.full(len(pairs), np.nan) for name in features}
    for name, values in features.items():
        result[name][both] = values
    return result


def _context(
    products: KeptCrops, pairs: NDArray[np.int64], lines: Mapping[int, Sequence[TextLine]]
) -> Features:
    read = np.array([len(lines[row]) if row in lines else np.nan for row in range(len(products))])
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in products.places]
    return context_features(
        pairs, products.keypoints.astype(np.float64), read, np.array(areas, np.float64)
    )


def _texts(lines: Mapping[int, Sequence[TextLine]], count: int) -> list[str]:
    return [pack_text(lines.get(row, ())) for row in range(count)]


def _titles(products: KeptCrops) -> list[str]:
    return [" ".join(plain_words(title) for title in titles) for titles in products.titles]


def pair_cosines(vectors: Floats, pairs: NDArray[np.int64]) -> Reals:
    """Return the dot product of each pair of rows; NaN where there are no vectors."""
    if len(vectors) == 0:
        return np.full(len(pairs), np.nan)
    blocks = [pairs[start : start + PAIR_BLOCK] for start in range(0, len(pairs), PAIR_BLOCK)]
    products = [
        np.einsum("ij,ij->i", vectors[block[:, 0]], vectors[block[:, 1]]) for block in blocks
    ]
    return np.concatenate([np.zeros(0), *products])


def _evidence(
    products: KeptCrops, candidates: Candidates, text: TextEvidence, titles: TitleEvidence
) -> PairEvidence:
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
        neighbours_differ=profile_disagreement(
            candidates.pairs, compared, contradicting, len(products)
        ),
    )
