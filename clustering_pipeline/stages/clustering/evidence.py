"""What is known between the kept crops of a category, as the clustering problem."""

import numpy as np
import pandas as pd

from clustering_pipeline.core.vectors import nearest_neighbours
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stages.clustering.contradictions import (
    keeper_of,
    link_variants,
    without_split,
)
from clustering_pipeline.stages.clustering.listings import ListingPictures
from clustering_pipeline.stages.clustering.problem import (
    ClusteringProblem,
    Edges,
    make_edges,
    no_edges,
)

# Neighbours per crop that stand as evidence where no match was verified.
NEIGHBOURS = 10


def build_problem(
    brought: ListingPictures,
    embeddings: pd.DataFrame,
    matches: pd.DataFrame,
    settings: ClusterSettings,
) -> ClusteringProblem:
    """Return the problem of the kept crops that listings bring, a node per crop and variant, in the
    order of their names.
    """
    listings = brought.pictures.groupby("node_key")["listing"].nunique().sort_index()
    keys = [str(key) for key in listings.index]
    vectors = _vectors([keeper_of(key) for key in keys], embeddings)
    verified = settings.works_on == "matches"
    edges = (
        _match_edges(keys, matches)
        if verified
        else _cosine_edges(keys, vectors, settings.block_rows)
    )
    linked = link_variants(edges, keys, brought.statements)
    contradictions = without_split(_contradictions(keys, matches), keys) if verified else no_edges()
    odds = (
        link_variants(_edges_of(keys, matches, "log_odds"), keys, brought.statements)
        if verified
        else no_edges()
    )
    return ClusteringProblem(
        keys, listings.to_numpy(np.int64), linked, vectors, contradictions, odds
    )


def _vectors(keys: list[str], embeddings: pd.DataFrame) -> np.ndarray:
    """Return unit-length float32 (n, d); zeros where a crop has no embedding."""
    width = len(embeddings["vector"].iloc[0]) if len(embeddings) else 1
    vectors = np.zeros((len(keys), width), np.float32)
    rows = pd.Index(embeddings["crop_sha256"]).get_indexer(keys)
    held = np.flatnonzero(rows >= 0)
    if len(held):
        vectors[held] = np.stack(embeddings["vector"].iloc[rows[held]].to_numpy())
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=vectors, where=norms > 0)


def _match_edges(keys: list[str], matches: pd.DataFrame) -> Edges:
    edges = _edges_of(keys, matches, "weight")
    return edges.where(edges.weights > 0)


def _contradictions(keys: list[str], matches: pd.DataFrame) -> Edges:
    edges = _edges_of(keys, matches, "contradiction")
    return edges.where(edges.weights != 0)


def _edges_of(keys: list[str], matches: pd.DataFrame, column: str) -> Edges:
    index = pd.Index(keys)
    rows, columns = (index.get_indexer(pd.Index(matches[side])) for side in ("crop_a", "crop_b"))
    values = matches[column].fillna(0.0).to_numpy(float)
    probabilities = matches["probability"].fillna(0.0).to_numpy(float)
    known = (rows >= 0) & (columns >= 0)
    return make_edges(rows[known], columns[known], values[known], probabilities[known], len(keys))


def _cosine_edges(keys: list[str], vectors: np.ndarray, block_rows: int) -> Edges:
    # Variants of one keeper have one vector; the first stands for all until links are handed over.
    first = np.flatnonzero([keeper_of(key) == key for key in keys])
    rows, columns, cosines = nearest_neighbours(vectors[first], NEIGHBOURS, block_rows)
    alike = np.clip(cosines, 0, 1).astype(float)
    return make_edges(first[rows], first[columns], alike, alike, len(vectors))
