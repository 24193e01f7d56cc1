"""The clusters stage: every listing of a category gets exactly one row, with a cluster or the reason why it has none."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from clustering_pipeline.errors import InputError
from clustering_pipeline.grouping.corrections import Statements, impose, resolve_statements
from clustering_pipeline.grouping.evidence import build_problem
from clustering_pipeline.grouping.listings import listing_pictures
from clustering_pipeline.grouping.methods import GROUPING_METHODS
from clustering_pipeline.grouping.numbering import NumberRegister
from clustering_pipeline.grouping.placement import describe, listing_links, place_listings, settle
from clustering_pipeline.grouping.problem import NOISE, GroupingProblem
from clustering_pipeline.grouping.variants import variant_pairs
from clustering_pipeline.manifests import CLUSTERS, conform
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stage import StageContext, StageResult
from clustering_pipeline.storage import compute_missing

_GROUPING = pa.schema([("labels", pa.list_(pa.int64()))])


def group_listings(
    catalogue: pd.DataFrame,
    raw_images: pd.DataFrame,
    crops: pd.DataFrame,
    clean_images: pd.DataFrame,
    semantic_duplicates: pd.DataFrame,
    embeddings: pd.DataFrame,
    matches: pd.DataFrame,
    corrections: pd.DataFrame,
    settings: ClusterSettings,
    context: StageContext,
    category: str,
) -> StageResult:
    """Return the CLUSTERS manifest, a row per listing of `catalogue`, with stable numbers from the category's register.

    Raises InputError for an unknown method and StageError when the register of numbers cannot be used.
    """
    brought = listing_pictures(catalogue, raw_images, crops, clean_images, semantic_duplicates, settings)
    problem = build_problem(brought, embeddings, matches, settings)
    node_labels, cached = _cached_labels(problem, settings, context)
    table = place_listings(brought, problem, node_labels)
    statements = resolve_statements(corrections, _listings_of(table, raw_images))
    table["label"] = impose(table["label"].to_numpy(), statements, listing_links(table, problem))
    table = describe(settle(table, settings), problem)
    numbers = _issue_numbers(table, NumberRegister(context.state / "cluster_numbers.sqlite"), category)
    manifest = conform(_manifest(table, numbers, corrections), CLUSTERS)
    return StageResult(manifest, _facts(manifest, problem, statements, cached))


def _cached_labels(problem: GroupingProblem, settings: ClusterSettings, context: StageContext) -> tuple[np.ndarray, int]:
    if settings.method not in GROUPING_METHODS:
        raise InputError(
            f"There is no grouping method {settings.method!r}. Set clusters.method to one of {', '.join(sorted(GROUPING_METHODS))}."
        )
    content = hashlib.sha256("".join(problem.keys).encode())
    edges = problem.edges
    for array in (problem.listings, edges.rows, edges.columns, edges.weights, problem.vectors):
        content.update(np.ascontiguousarray(array).tobytes())

    def compute(keys: list[str]) -> Iterator[pd.DataFrame]:
        for key in keys:
            labels = _group(problem, settings) if problem.size else np.empty(0, np.int64)
            yield pd.DataFrame({"key": [key], "labels": [labels]})

    table = context.tables.table("clusters", settings.fingerprint(), _GROUPING)
    rows, cached = compute_missing(table, [content.hexdigest()], compute)
    return np.asarray(rows["labels"].iloc[0], np.int64), cached


def _group(problem: GroupingProblem, settings: ClusterSettings) -> np.ndarray:
    labels = GROUPING_METHODS[settings.method](problem, settings)
    edges = problem.edges
    links = zip(edges.rows.tolist(), edges.columns.tolist(), edges.weights.tolist(), strict=True)
    return impose(labels, Statements(different=variant_pairs(problem.keys)), links)


def _listings_of(table: pd.DataFrame, raw_images: pd.DataFrame) -> dict[str, list[tuple[int, frozenset[str]]]]:
    fetched = raw_images[raw_images["image_sha256"].notna()]
    images = fetched.groupby("listing")["image_sha256"].agg(frozenset)
    found = defaultdict(list)
    for index, (listing, identifier) in enumerate(zip(table["listing"], table["product_base_id"], strict=True)):
        if not pd.isna(identifier):
            found[str(identifier)].append((index, images.get(listing, frozenset())))
    return dict(found)


def _issue_numbers(table: pd.DataFrame, register: NumberRegister, category: str) -> dict[int, int]:
    """Return the number of each label."""
    clustered = table[table["label"] != NOISE]
    members: dict[int, set[str]] = defaultdict(set)
    for label, identifier, image in zip(
        clustered["label"], clustered["product_base_id"], clustered["image_sha256"], strict=True
    ):
        # An id whose picture was taken anew, and a picture that is listed anew, are each known by what stayed.
        members[label].update(f"{kind}:{value}" for kind, value in (("id", identifier), ("image", image)) if not pd.isna(value))
    labels = list(members)
    return dict(zip(labels, register.number(category, [frozenset(members[label]) for label in labels]), strict=True))


def _manifest(table: pd.DataFrame, numbers: dict[int, int], corrections: pd.DataFrame) -> pd.DataFrame:
    sizes = table["label"].map(table["label"].value_counts())
    clustered, unmatched = table["label"] != NOISE, table["status"] == "no_match"
    result = table[
        ["listing", "status", "reason", "confidence", "margin", "weakest_link", "is_representative", "crop_sha256", "keeper"]
    ].copy()
    result["cluster_id"] = table["label"].map(numbers).astype("Int64").where(clustered).mask(unmatched, -1)
    result["cluster_size"] = sizes.where(clustered).mask(unmatched, 1).astype("Int64")
    named = corrections[corrections["kind"] == "name"].sort_values("number").drop_duplicates("cluster_id", keep="last")
    result["cluster_name"] = result["cluster_id"].map(dict(zip(named["cluster_id"], named["name"], strict=True)))
    return result


def _facts(manifest: pd.DataFrame, problem: GroupingProblem, statements: Statements, cached: int) -> dict[str, int | float]:
    clustered = manifest[manifest["status"] == "clustered"]
    sizes = clustered.groupby("cluster_id").size()
    counts = manifest["status"].value_counts()
    return {
        "listings": len(manifest),
        "clusters": len(sizes),
        **{str(status): int(count) for status, count in counts.items()},
        "largest_cluster": int(sizes.max()) if len(sizes) else 0,
        "noise_share": round(float(counts.get("no_match", 0) / max(len(manifest), 1)), 4),
        "crops": problem.size,
        "links": len(problem.edges),
        "corrections_contradicted": len(statements.contradicted),
        "corrections_unresolved": len(statements.unresolved),
        "grouping_from_cache": cached,
    }
