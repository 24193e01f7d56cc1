"""The clusters stage: every listing of a category gets exactly one row, with a cluster or the reason why it has none."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from clustering_pipeline.errors import InputError
from clustering_pipeline.grouping.confidence import measure_confidence
from clustering_pipeline.grouping.corrections import Link, Statements, impose, resolve_statements
from clustering_pipeline.grouping.evidence import build_problem
from clustering_pipeline.grouping.listings import ListingPictures, listing_pictures
from clustering_pipeline.grouping.methods import GROUPING_METHODS
from clustering_pipeline.grouping.numbering import NumberRegister
from clustering_pipeline.grouping.problem import NOISE, GroupingProblem
from clustering_pipeline.manifests import CLUSTERS, conform
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stage import StageContext, StageResult
from clustering_pipeline.storage import compute_missing

ALONE = "No other listing was found that shows this product."
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
    brought = listing_pictures(catalogue, raw_images, crops, clean_images, semantic_duplicates, settings.crops)
    problem = build_problem(brought.pictures, embeddings, matches, settings)
    node_labels, cached = _cached_labels(problem, settings, context)
    table = _place_listings(brought, problem, node_labels)
    statements = resolve_statements(corrections, _listings_of(table, raw_images))
    table["label"] = impose(table["label"].to_numpy(), statements, _links(table, problem))
    _settle(table, settings)
    _describe(table, problem)
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
            labels = GROUPING_METHODS[settings.method](problem, settings) if problem.size else np.empty(0, np.int64)
            yield pd.DataFrame({"key": [key], "labels": [labels]})

    table = context.tables.table("clusters", settings.fingerprint(), _GROUPING)
    rows, cached = compute_missing(table, [content.hexdigest()], compute)
    return np.asarray(rows["labels"].iloc[0], np.int64), cached


def _place_listings(brought: ListingPictures, problem: GroupingProblem, node_labels: np.ndarray) -> pd.DataFrame:
    """Return a row per listing in an order that does not depend on the workbook's, with its `node`, `label` and crop.

    A listing of several pictures goes where its first picture that is not alone goes.
    """
    pictures = brought.pictures.copy()
    pictures["node"] = pd.Index(problem.keys).get_indexer(pd.Index(pictures["keeper"]))
    alone = node_labels == NOISE
    # Listings that share one kept picture belong together even where a method calls the picture noise.
    own_label = np.where(alone, node_labels.max(initial=0) + 1 + np.arange(problem.size), node_labels)
    pictures["label"] = own_label[pictures["node"]]
    pictures["company"] = pictures.groupby("label")["listing"].transform("nunique") > 1
    chosen = pictures.sort_values("company", ascending=False, kind="stable").drop_duplicates("listing")
    chosen = chosen[["listing", "node", "label", "crop_sha256", "keeper", "relation", "image_sha256"]]
    table = brought.listings.merge(chosen, on="listing", how="left")
    table["label"] = table["label"].fillna(NOISE).astype(np.int64)
    table["node"] = table["node"].fillna(-1).astype(np.int64)
    return table.sort_values(["product_base_id", "image_sha256", "listing"], kind="stable", ignore_index=True)


def _listings_of(table: pd.DataFrame, raw_images: pd.DataFrame) -> dict[str, list[tuple[int, frozenset[str]]]]:
    fetched = raw_images[raw_images["image_sha256"].notna()]
    images = fetched.groupby("listing")["image_sha256"].agg(frozenset)
    found = defaultdict(list)
    for index, (listing, identifier) in enumerate(zip(table["listing"], table["product_base_id"], strict=True)):
        if not pd.isna(identifier):
            found[str(identifier)].append((index, images.get(listing, frozenset())))
    return dict(found)


def _links(table: pd.DataFrame, problem: GroupingProblem) -> Iterator[Link]:
    """Yield the evidence between listings: those of one picture, and the matches between the first listings of two."""
    placed = table[table["node"] >= 0]
    first: dict[int, int] = {}
    for index, node in zip(placed.index.tolist(), placed["node"].tolist(), strict=True):
        if first.setdefault(node, index) != index:
            yield first[node], index, np.inf
    edges = problem.edges
    for row, column, weight in zip(edges.rows.tolist(), edges.columns.tolist(), edges.weights.tolist(), strict=True):
        if row in first and column in first:
            yield first[row], first[column], weight


def _settle(table: pd.DataFrame, settings: ClusterSettings) -> None:
    """Give every listing its final `label`, `status` and `reason`; a cluster of one is none, unless settings make it one."""
    sizes = table["label"].map(table["label"].value_counts())
    together = (table["label"] != NOISE) & (sizes > 1)
    alone = table["status"].isna() & ~together
    if settings.no_match == "singleton":
        together |= alone
    table.loc[~together, "label"] = NOISE
    table.loc[together, ["status", "reason"]] = ["clustered", None]
    table.loc[table["status"].isna(), ["status", "reason"]] = ["no_match", ALONE]
    table.loc[alone & together, "reason"] = ALONE
    _name_originals(table)


def _name_originals(table: pd.DataFrame) -> None:
    """Say of every duplicate which listing shows the picture that was kept for it."""
    placed = table[table["node"] >= 0]
    originals = placed.sort_values("relation", kind="stable").drop_duplicates("node").set_index("node")
    for index, node in placed["node"].items():
        original = originals.loc[node]
        if original["listing"] != table.at[index, "listing"] and original["label"] == table.at[index, "label"] != NOISE:
            nearly = "a nearly identical picture" if table.at[index, "relation"] else "the same picture"
            table.at[index, "reason"] = f"duplicate of {original['product_base_id']}: {nearly}"


def _describe(table: pd.DataFrame, problem: GroupingProblem) -> None:
    """Add `confidence`, `margin`, `weakest_link` and `is_representative`."""
    placed = table[table["node"] >= 0]
    labels = np.full(problem.size, NOISE, np.int64)
    labels[placed["node"]] = placed["label"]
    confidence = measure_confidence(labels, problem.edges)
    node = table["node"].to_numpy()
    shared = table.groupby(["node", "label"])["listing"].transform("size").to_numpy() > 1
    clustered = (table["label"] != NOISE).to_numpy()
    agreement = np.where(shared, 1.0, confidence.agreement[node] if problem.size else 0.0)
    margin = confidence.margin[node] if problem.size else np.zeros(len(table))
    known = clustered & (node >= 0)
    table["margin"] = np.where(known, margin, np.nan)
    table["confidence"] = np.where(known, agreement * margin, np.nan)
    table["weakest_link"] = table["label"].map(confidence.weakest_link).where(clustered)
    within = confidence.within[node] if problem.size else np.zeros(len(table))
    best = table.assign(within=np.where(node >= 0, within, -1.0), original=table["relation"] != "")
    best = best[clustered].sort_values(["within", "original"], ascending=[False, True], kind="stable")
    table["is_representative"] = table.index.isin(best.drop_duplicates("label").index)


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
