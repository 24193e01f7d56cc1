"""From the manifests to what each listing brings into the grouping, its kept crops or the reason
why it has none, and to what is known between those crops: the clustering problem.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.core.graph import keepers
from clustering_pipeline.core.titles import TitleFacts
from clustering_pipeline.core.vectors import nearest_neighbours
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stages.clustering.contradictions import (
    keeper_of,
    link_variants,
    split_by_title,
    without_split,
)
from clustering_pipeline.stages.clustering.problem import (
    ClusteringProblem,
    Edges,
    make_edges,
    no_edges,
)

# Neighbours per crop that stand as evidence where no match was verified.
NEIGHBOURS = 10
NO_PICTURE = "No picture of this listing was fetched. Run again to fetch it."
NO_CROP = "The picture could not be opened, so no product could be cut out of it."


@dataclass(frozen=True)
class ListingPictures:
    """`listings`: one row per listing with `status` and `reason` of those that cannot be grouped,
    null for the rest.

    `pictures`: one row per (listing, position, rank) with a kept crop: `crop_sha256`, its `keeper`,
    `relation` to it ("", "duplicate" or "semantic duplicate"), `node_key`, `image_sha256` and the
    listing's `product_base_id` and `title`. `statements`: what the titles of each node say.
    """

    listings: pd.DataFrame
    pictures: pd.DataFrame
    statements: dict[str, TitleFacts]


def listing_pictures(
    catalogue: pd.DataFrame,
    raw_images: pd.DataFrame,
    crops: pd.DataFrame,
    clean_images: pd.DataFrame,
    semantic_duplicates: pd.DataFrame,
    settings: ClusterSettings,
) -> ListingPictures:
    """Return what each listing brings into the grouping."""
    fetched = raw_images[raw_images["image_sha256"].notna()]
    shown = crops if settings.crops == "all" else _main_crops(crops)
    pictures = fetched[["listing", "position", "image_sha256"]].merge(
        shown[["image_sha256", "rank", "crop_sha256", "error"]], on="image_sha256"
    )
    pictures = pictures.merge(
        clean_images[["crop_sha256", "status", "reason"]], on="crop_sha256", how="left"
    )
    pictures = pictures.merge(
        keepers(clean_images, semantic_duplicates), on="crop_sha256", how="left"
    )
    pictures["reason"] = pictures["too_alike"].fillna(pictures["reason"]).fillna(pictures["error"])
    pictures = pictures.merge(catalogue[["listing", "product_base_id", "title"]], on="listing")
    pictures = pictures.sort_values(
        ["listing", "position", "rank"], kind="stable", ignore_index=True
    )
    kept = pictures[pictures["keeper"].notna()].reset_index(drop=True)
    titles = (
        kept["title"]
        if settings.same_photo == "split_on_title_conflict"
        else kept["title"].iloc[:0].reindex(kept.index)
    )
    kept["node_key"], statements = split_by_title(kept["crop_sha256"], kept["keeper"], titles)
    return ListingPictures(_standings(catalogue, raw_images, fetched, pictures), kept, statements)


def _main_crops(crops: pd.DataFrame) -> pd.DataFrame:
    """Return one crop per image: the main one, or the first where none is marked."""
    ordered = crops.sort_values(["is_main", "rank"], ascending=[False, True], kind="stable")
    return ordered.drop_duplicates("image_sha256")


def _standings(
    catalogue: pd.DataFrame, raw_images: pd.DataFrame, fetched: pd.DataFrame, pictures: pd.DataFrame
) -> pd.DataFrame:
    """Return `listing`, `product_base_id`, `title`, `status`, `reason`; the last two null where a
    kept crop exists.
    """
    invalid = dict(
        catalogue.loc[~catalogue["usable"].astype(bool), ["listing", "reason"]].itertuples(
            index=False, name=None
        )
    )
    failures = raw_images[raw_images["image_sha256"].isna()].sort_values("position")
    failed = dict(
        failures.drop_duplicates("listing")[["listing", "error"]].itertuples(index=False, name=None)
    )
    rejections = pictures[pictures["keeper"].isna()].drop_duplicates("listing")
    rejected = dict(rejections[["listing", "reason"]].itertuples(index=False, name=None))
    with_picture, with_keeper = (
        set(fetched["listing"]),
        set(pictures.loc[pictures["keeper"].notna(), "listing"]),
    )

    def standing(listing: int) -> tuple[str | None, str | None]:
        if listing in invalid:
            return "invalid_row", _sentence(invalid[listing], "This row cannot be used.")
        if listing in with_keeper:
            return None, None
        if listing in with_picture:
            return "rejected", _sentence(rejected.get(listing), NO_CROP)
        return "download_failed", _sentence(failed.get(listing), NO_PICTURE)

    result = catalogue[["listing", "product_base_id", "title"]].reset_index(drop=True)
    standings = [standing(listing) for listing in result["listing"]]
    return result.join(
        pd.DataFrame(standings, columns=["status", "reason"], index=result.index, dtype=object)
    )


def _sentence(text: str | None, otherwise: str) -> str:
    return otherwise if pd.isna(text) or not str(text).strip() else str(text)


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
    repulsions = without_split(_repulsions(keys, matches), keys) if verified else no_edges()
    return ClusteringProblem(
        keys, np.asarray(listings, np.int64), linked, vectors, contradictions, odds, repulsions
    )


def _vectors(keys: list[str], embeddings: pd.DataFrame) -> NDArray[np.float32]:
    """Return unit-length float32 (n, d); zeros where a crop has no embedding."""
    width = len(embeddings["vector"].iloc[0]) if len(embeddings) else 1
    vectors = np.zeros((len(keys), width), np.float32)
    rows = pd.Index(embeddings["crop_sha256"]).get_indexer(keys)
    described = np.flatnonzero(rows >= 0)
    if len(described):
        vectors[described] = np.stack(embeddings["vector"].iloc[rows[described]].to_numpy())
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.divide(vectors, norms, out=vectors, where=norms > 0)
    return vectors


def _match_edges(keys: list[str], matches: pd.DataFrame) -> Edges:
    edges = _edges_of(keys, matches, "weight")
    return edges.where(edges.weights > 0)


def _contradictions(keys: list[str], matches: pd.DataFrame) -> Edges:
    edges = _edges_of(keys, matches, "contradiction")
    return edges.where(edges.weights != 0)


def _repulsions(keys: list[str], matches: pd.DataFrame) -> Edges:
    of_one_shop = matches["same_shop"].fillna(False).to_numpy(bool)
    edges = _edges_of(keys, matches[of_one_shop], "log_odds")
    return edges.where(edges.weights < 0)


def _edges_of(keys: list[str], matches: pd.DataFrame, column: str) -> Edges:
    index = pd.Index(keys)
    rows, columns = (index.get_indexer(pd.Index(matches[side])) for side in ("crop_a", "crop_b"))
    values = matches[column].fillna(0.0).to_numpy(float)
    probabilities = matches["probability"].fillna(0.0).to_numpy(float)
    are_nodes = (rows >= 0) & (columns >= 0)
    return make_edges(
        rows[are_nodes], columns[are_nodes], values[are_nodes], probabilities[are_nodes], len(keys)
    )


def _cosine_edges(keys: list[str], vectors: NDArray[np.float32], block_rows: int) -> Edges:
    # Variants of one keeper have one vector; the first stands for all until links are handed over.
    first = np.flatnonzero([keeper_of(key) == key for key in keys])
    rows, columns, cosines = nearest_neighbours(vectors[first], NEIGHBOURS, block_rows)
    alike = np.clip(cosines, 0, 1).astype(float)
    return make_edges(first[rows], first[columns], alike, alike, len(vectors))
