"""Pairs of crops that show the same product, with the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.core.evidence_model import Reals
from clustering_pipeline.core.manifests import MATCHES, conform, empty
from clustering_pipeline.settings import EmbeddingSettings, MatchSettings
from clustering_pipeline.stages import embedding
from clustering_pipeline.stages.clustering import communities
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.stages.features import load_features
from clustering_pipeline.stages.matching.candidates import (
    friends_of_friends,
    joined_pairs,
    learn_projection,
    nearest_pairs,
    project,
    text_neighbours,
    without_known,
)
from clustering_pipeline.stages.matching.judging import (
    MARGIN,
    Candidates,
    Examined,
    PairModels,
    examine,
    judge,
    log_odds_alone,
    pair_cosines,
    picture_weights,
    shipped_models,
)
from clustering_pipeline.stages.matching.kept_crops import KeptCrops, collect_crops
from clustering_pipeline.stages.matching.overlays import under_templates
from clustering_pipeline.stages.matching.print_evidence import print_evidence
from clustering_pipeline.stages.matching.shapes import coarse_shape, plain_pairs, shape_candidates
from clustering_pipeline.stages.matching.text_evidence import ngram_vectors, pack_text
from clustering_pipeline.stages.matching.text_reader import TextLine, read_texts, usually_spelled
from clustering_pipeline.stages.matching.weights import SMALLEST_WEIGHT

# Log-odds of pairs that neither clearly show one product nor clearly two: here text can turn the
# balance. On half of the brands of real sellers -3 reads all packs, -1.5 three quarters of them
# with fewer mixed clusters; at -0.5 true pairs are lost.
_DOUBTFUL = (-1.5, 4.0)
# Packs that stand alone are read where a pair of theirs is likelier than this.
_LEAST_OF_ALONE = -2.5
# Pairs that are hardly one product and have no print in common are left out of the manifest.
LEAST_SHOWN = -2.0
# Pairs from which a category's projection is learned. On five real and drawn sets any value from
# 0.6 to 2 gave the same.
_TEACHING_WEIGHT = 1.0


@dataclass(frozen=True)
class FurtherVectors:
    """What another encoder says: rows of the products that it could describe, their vectors, and
    candidates per row.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    neighbours: int


def run(
    *,
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
    """Return MATCHES: a row per pair of keepers with any evidence; `weight` is 0 where the pair is
    refused.

    Candidates are nearest neighbours of vectors, silhouettes and texts, and friends of verified
    friends; each is verified by its print, and by the text on the pack where that can change
    something.
    """
    if not settings.enabled:
        return StageResult(empty(MATCHES), {"crops": 0, "candidates": 0})
    products = collect_crops(
        embeddings,
        local_features,
        clean_images,
        crops,
        raw_images,
        catalogue,
        semantic_duplicates,
        settings=settings,
    )
    matcher = open_matcher(products, clean_images, local_features, settings, context)
    candidates = matcher.by_pictures()
    lines = matcher.read_doubtful(candidates)
    candidates = matcher.with_text_neighbours(candidates, lines)
    judged = judge(products, matcher.examine(candidates, lines), matcher.models, settings)
    shown = judged[(judged["inliers"] > 0) | (judged["log_odds"] > LEAST_SHOWN)].reset_index(
        drop=True
    )
    facts = {
        "crops": len(products),
        "candidates": len(candidates),
        "verified": int((judged["inliers"] > 0).sum()),
        "accepted": int((judged["weight"] > 0).sum()),
        "packs_read": len(lines),
    }
    return StageResult(conform(shown, MATCHES), facts)


def open_matcher(
    products: KeptCrops,
    clean_images: pd.DataFrame,
    local_features: pd.DataFrame,
    settings: MatchSettings,
    context: StageContext,
) -> "Matcher":
    """Return the matcher of the category's keepers."""
    further = _further_vectors(products, clean_images, local_features, settings, context)
    return Matcher(products, further, settings, context, shipped_models())


def _further_vectors(
    products: KeptCrops,
    clean_images: pd.DataFrame,
    local_features: pd.DataFrame,
    settings: MatchSettings,
    context: StageContext,
) -> list[FurtherVectors]:
    """Return what the further encoders say, those of them that could describe any product; `local`
    is always the first.
    """
    wanted = (
        [(EmbeddingSettings(encoder="local"), settings.local_neighbours)]
        if settings.local_neighbours
        else []
    )
    further_vectors = []
    for one, neighbours in (
        *wanted,
        *((further, settings.neighbours) for further in settings.further_embeddings),
    ):
        frame = embedding.run(
            clean_images=clean_images, local_features=local_features, settings=one, context=context
        ).manifest
        vectors = frame.set_index("crop_sha256")["vector"].reindex(products.crops)
        rows = np.flatnonzero(vectors.notna())
        if len(rows):
            further_vectors.append(
                FurtherVectors(
                    rows, np.stack(vectors.iloc[rows].to_list()).astype(np.float32), neighbours
                )
            )
    return further_vectors


class Matcher:
    """Finds and verifies the candidates of one category; counts what came from the cache."""

    def __init__(
        self,
        products: KeptCrops,
        further: Sequence[FurtherVectors],
        settings: MatchSettings,
        context: StageContext,
        models: PairModels,
    ) -> None:
        self.products = products
        self._further = further
        self.settings = settings
        self.context = context
        self.models = models

    def by_pictures(self) -> Candidates:
        """Return nearest neighbours of vectors and silhouettes, verified by their print, and then
        those that these lead to.

        They lead to neighbours in a projection learned from them, and to friends of friends.
        """
        count = len(self.products)
        near = self._nearest_in_embeddings()
        alike = self._nearest_in_shape()
        candidates = self._verified(np.concatenate([near, without_known(alike, near, count)]))
        learned = self._nearest_as_learned(candidates)
        candidates = candidates.joined(self._verified(learned)) if len(learned) else candidates
        for _ in range(self.settings.friend_rounds):
            weights = picture_weights(self.products, candidates)
            friends = np.where(weights > SMALLEST_WEIGHT, weights, 0.0)
            further = friends_of_friends(candidates.pairs, friends, count, self.settings.friends)
            if len(further) == 0:
                break
            candidates = candidates.joined(self._verified(further))
        return candidates

    def _nearest_in_embeddings(self) -> NDArray[np.int64]:
        near = self._nearest(self.products.vectors, self.settings.neighbours)
        for one in self._further:
            near = joined_pairs(
                near, one.rows[self._nearest(one.vectors, one.neighbours)], len(self.products)
            )
        return near

    def _nearest(self, vectors: NDArray[np.float32], neighbours: int) -> NDArray[np.int64]:
        return nearest_pairs(vectors, neighbours, self.settings.exact_up_to)

    def _nearest_as_learned(self, candidates: Candidates) -> NDArray[np.int64]:
        accepted = candidates.pairs[picture_weights(self.products, candidates) > _TEACHING_WEIGHT]
        if self.settings.learned_neighbours == 0 or len(accepted) == 0:
            return np.zeros((0, 2), np.int64)
        vectors = project(self.products.vectors, learn_projection(self.products.vectors, accepted))
        near = self._nearest(vectors, self.settings.learned_neighbours)
        return without_known(near, candidates.pairs, len(self.products))

    def _nearest_in_shape(self) -> NDArray[np.int64]:
        keypoints, limit = self.products.keypoints, self.settings.plain_keypoints
        plain = np.flatnonzero(keypoints <= limit)
        shapes = [
            coarse_shape(load_features(self.context.blobs, self.products.features[row]))
            for row in plain.tolist()
        ]
        alike = shape_candidates(plain, shapes, self.settings.shape_neighbours)
        return alike[plain_pairs(keypoints, alike, limit)]

    def read_doubtful(self, candidates: Candidates) -> dict[int, list[TextLine]]:
        """Read the packs whose text can change the grouping: at doubtful pairs, at pairs across
        groups, and those left alone that have a pair to speak of.

        The groups are provisional, by pictures and titles alone.
        """
        if not self.settings.text or len(self.products) == 0:
            return {}
        examined = self.examine(candidates, {})
        log_odds = log_odds_alone(self.models.alone, examined.features, len(candidates))
        groups = self._provisional_groups(candidates.pairs, log_odds - MARGIN)
        left, right = candidates.pairs.T
        doubtful = (log_odds > _DOUBTFUL[0]) & (
            (log_odds < _DOUBTFUL[1]) | (groups[left] != groups[right])
        )
        wanted = np.zeros(len(self.products), bool)
        wanted[candidates.pairs[log_odds > _LEAST_OF_ALONE].ravel()] = True
        wanted &= np.bincount(groups)[groups] == 1
        wanted[candidates.pairs[doubtful].ravel()] = True
        return self.read(np.flatnonzero(wanted).tolist())

    def read(self, rows: Sequence[int]) -> dict[int, list[TextLine]]:
        """Return the lines on the packs at `rows`, without those of templates, words spelled as
        most packs spell them.
        """
        lines = read_texts(self.products, rows, self.settings.reader, self.context)
        return usually_spelled(under_templates(self.products, lines))

    def examine(self, candidates: Candidates, lines: dict[int, list[TextLine]]) -> Examined:
        """Return all that is known of the candidates once `lines` were read."""
        return examine(
            self.products,
            candidates,
            lines,
            self.settings,
            [(one.rows, one.vectors) for one in self._further],
        )

    def with_text_neighbours(
        self, candidates: Candidates, lines: dict[int, list[TextLine]]
    ) -> Candidates:
        """Return the candidates and, verified too, the pairs of packs whose text is alike."""
        texts = [pack_text(lines.get(row, ())) for row in range(len(self.products))]
        alike = text_neighbours(ngram_vectors(texts), self.settings.text_neighbours)
        further = without_known(alike, candidates.pairs, len(self.products))
        return candidates.joined(self._verified(further)) if len(further) else candidates

    def _provisional_groups(self, pairs: NDArray[np.int64], weights: Reals) -> NDArray[np.int64]:
        strong = weights > 0
        rows, columns = pairs[strong].T
        groups: NDArray[np.int64] = communities(
            len(self.products), rows, columns, weights[strong], self.products.keys
        )
        return groups

    def _verified(self, pairs: NDArray[np.int64]) -> Candidates:
        raw = print_evidence(pairs, self.products.features, self.settings, self.context)
        raw["palette_similarity"] = pair_cosines(self.products.palettes, pairs).astype(np.float32)
        bare = (
            self.products.keypoints[pairs].max(axis=1, initial=0) <= self.settings.plain_keypoints
        )
        return Candidates(pairs, raw, bare)
