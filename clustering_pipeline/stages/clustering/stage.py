"""The clusters stage: every listing of a category gets exactly one row, with a cluster or the
reason why it has none.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from clustering_pipeline.core.corrections import Name, RecordedCorrection, read_corrections
from clustering_pipeline.core.manifests import CLUSTERS, conform
from clustering_pipeline.core.progress import Fact, Facts
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stages.clustering.confidence import (
    FEWEST_ANSWERS,
    answered_pairs,
    confidence_shift,
)
from clustering_pipeline.stages.clustering.contradictions import variant_pairs
from clustering_pipeline.stages.clustering.corrections import (
    ResolvedCorrections,
    impose,
    resolve_statements,
)
from clustering_pipeline.stages.clustering.drawings import keep_drawings
from clustering_pipeline.stages.clustering.listings import build_problem, listing_pictures
from clustering_pipeline.stages.clustering.methods import CLUSTERING_METHODS
from clustering_pipeline.stages.clustering.numbering import Change, Members, NumberRegister
from clustering_pipeline.stages.clustering.placement import (
    attach,
    describe,
    labels_of_nodes,
    listing_links,
    place_listings,
    settle,
)
from clustering_pipeline.stages.clustering.problem import NOISE, ClusteringProblem
from clustering_pipeline.stages.clustering.tuning import (
    choices_as_text,
    choose_parameters,
    draw_projection,
    draw_sweep,
    drawn_choices,
)
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.storage import compute_missing, layout

_GROUPING = pa.schema([("labels", pa.list_(pa.int64())), ("choices", pa.string())])


def run(
    *,
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
) -> StageResult:
    """Return the CLUSTERS manifest, a row per listing of `catalogue`, with stable numbers from the
    category's register.

    Drawings (of chosen parameters, of a sweep, of the projection) are blobs; the facts whose names
    end with `_svg` hold their sha256. Raises InputError for settings that do not fit together and
    StageError when the register cannot be used.
    """
    category = context.category
    brought = listing_pictures(
        catalogue, raw_images, crops, clean_images, semantic_duplicates, settings
    )
    problem = build_problem(brought, embeddings, matches, settings)
    node_labels, choices = _cached_grouping(problem, settings, context)
    table = place_listings(brought, problem, node_labels)
    register = NumberRegister(context.place(layout.CLUSTER_NUMBERS))
    if settings.attach:
        links = listing_links(table, problem)
        table["label"] = attach(
            table["label"].to_numpy(), _members(table), links, register.current(category)
        )
    said = read_corrections(corrections)
    listings_of = _listings_of(table, raw_images)
    statements = resolve_statements(said, listings_of)
    shift = _recalibrated(answered_pairs(said, listings_of, table), table, problem, settings)
    table["label"] = impose(table["label"].to_numpy(), statements, listing_links(table, problem))
    table = describe(settle(table, settings), problem, statements.same, shift)
    numbers, changes = _issue_numbers(table, register, category)
    manifest = conform(_manifest(table, numbers, _names(said)), CLUSTERS)
    choice_facts, drawings = drawn_choices(choices)
    drawings |= draw_sweep(problem, settings) if settings.sweep else {}
    drawings |= (
        draw_projection(problem, labels_of_nodes(table, problem), settings)
        if settings.projection != "none"
        else {}
    )
    facts = {
        **_facts(manifest, problem, settings),
        **_changed(changes),
        **_contradictions(statements),
        "confidence_shift": round(shift, 3),
        **choice_facts,
    }
    kept = {
        f"{name}_svg": digest for name, digest in keep_drawings(context, category, drawings).items()
    }
    return StageResult(manifest, {**facts, **kept})


def _cached_grouping(
    problem: ClusteringProblem, settings: ClusterSettings, context: StageContext
) -> tuple[NDArray[np.int64], str]:
    """Return a label per node, and the chosen parameters as JSON."""
    content = hashlib.sha256("".join(problem.keys).encode())
    edges = problem.edges
    evidence: list[NDArray[Any]] = [edges.probabilities]
    for one in (edges, problem.contradictions, problem.odds, problem.repulsions):
        evidence += [one.rows, one.columns, one.weights]
    for array in (problem.listings, *evidence, problem.vectors):
        content.update(np.ascontiguousarray(array).tobytes())

    def compute(keys: list[str]) -> Iterator[pd.DataFrame]:
        for key in keys:
            chosen, choices = choose_parameters(problem, settings)
            yield pd.DataFrame(
                {
                    "key": [key],
                    "labels": [_group(problem, chosen)],
                    "choices": [choices_as_text(choices)],
                }
            )

    table = context.tables.table("clusters", settings.fingerprint(), _GROUPING)
    rows = compute_missing(table, [content.hexdigest()], compute)
    return np.asarray(rows["labels"].iloc[0], np.int64), str(rows["choices"].iloc[0])


def _group(problem: ClusteringProblem, settings: ClusterSettings) -> NDArray[np.int64]:
    if problem.size == 0:
        return np.empty(0, np.int64)
    labels = CLUSTERING_METHODS[settings.method](problem, settings)
    edges = problem.edges
    links = zip(edges.rows.tolist(), edges.columns.tolist(), edges.weights.tolist(), strict=True)
    return impose(labels, ResolvedCorrections(different=variant_pairs(problem.keys)), links)


def _recalibrated(
    answered: list[tuple[int, int, bool]],
    table: pd.DataFrame,
    problem: ClusteringProblem,
    settings: ClusterSettings,
) -> float:
    """Return the shift of the confidences that the answers call for; `table`: the grouping before
    anything that people said is imposed.
    """
    if len(answered) < FEWEST_ANSWERS:
        return 0.0
    confidence = describe(settle(table, settings), problem)["confidence"].to_numpy(np.float64)
    pairs = [(confidence[a], confidence[b], same) for a, b, same in answered]
    expected = [(a + b) / 2 for a, b, _ in pairs]
    return confidence_shift(expected, [same for _, _, same in pairs])


def _listings_of(
    table: pd.DataFrame, raw_images: pd.DataFrame
) -> dict[str, list[tuple[int, frozenset[str]]]]:
    fetched = raw_images[raw_images["image_sha256"].notna()]
    images, rows_of = defaultdict(set), defaultdict(list)
    for listing, image in zip(fetched["listing"], fetched["image_sha256"], strict=True):
        images[listing].add(image)
    for index, (listing, identifier) in enumerate(
        zip(table["listing"], table["product_base_id"], strict=True)
    ):
        if not pd.isna(identifier):
            rows_of[str(identifier)].append((index, frozenset(images[listing])))
    return dict(rows_of)


def _members(table: pd.DataFrame) -> list[Members]:
    """Return the names of each row: an id with a new picture, and a picture listed under a new id,
    are each known by the other.
    """
    rows = zip(table["product_base_id"], table["image_sha256"], strict=True)
    return [
        frozenset(
            f"{kind}:{value}"
            for kind, value in (("id", identifier), ("image", image))
            if not pd.isna(value)
        )
        for identifier, image in rows
    ]


def _issue_numbers(
    table: pd.DataFrame, register: NumberRegister, category: str
) -> tuple[dict[int, int], list[Change]]:
    """Return the number of each label and what changed since the last result."""
    members: dict[int, set[str]] = defaultdict(set)
    for label, names in zip(table["label"], _members(table), strict=True):
        if label != NOISE:
            members[label] |= names
    numbers, changes = register.number(category, [frozenset(names) for names in members.values()])
    return dict(zip(members, numbers, strict=True)), changes


def _manifest(table: pd.DataFrame, numbers: dict[int, int], names: dict[int, str]) -> pd.DataFrame:
    sizes = table["label"].map(table["label"].value_counts())
    clustered, unmatched = table["label"] != NOISE, table["status"] == "no_match"
    result = table[
        [
            "listing",
            "status",
            "reason",
            "confidence",
            "margin",
            "weakest_link",
            "is_representative",
            "crop_sha256",
            "keeper",
        ]
    ].copy()
    result["cluster_id"] = (
        table["label"].map(numbers).astype("Int64").where(clustered).mask(unmatched, -1)
    )
    result["cluster_size"] = sizes.where(clustered).mask(unmatched, 1).astype("Int64")
    result["cluster_name"] = result["cluster_id"].map(names)
    return result


def _names(corrections: Iterable[RecordedCorrection]) -> dict[int, str]:
    """Return the newest name of each cluster."""
    statements = (recorded.statement for recorded in corrections)
    return {said.cluster_id: said.name for said in statements if isinstance(said, Name)}


def _facts(manifest: pd.DataFrame, problem: ClusteringProblem, settings: ClusterSettings) -> Facts:
    shown = manifest[manifest["status"] != "no_match"] if settings.no_match == "drop" else manifest
    sizes = shown[shown["status"] == "clustered"].groupby("cluster_id").size()
    counts = shown["status"].value_counts()
    return {
        "listings": len(shown),
        "clusters": len(sizes),
        **{str(status): int(count) for status, count in counts.items()},
        "largest_cluster": int(sizes.max()) if len(sizes) else 0,
        "noise_share": round(float(counts.get("no_match", 0) / max(len(shown), 1)), 4),
        "crops": problem.size,
        "links": len(problem.edges),
    }


def _changed(changes: list[Change]) -> Facts:
    counts = Counter(change.kind for change in changes)
    return {
        "births": counts["birth"],
        "retirements": counts["retirement"],
        "splits": counts["split"],
        "merges": counts["merge"],
    }


def _contradictions(statements: ResolvedCorrections) -> Facts:
    facts: dict[str, Fact] = {
        "corrections_contradicted": len(statements.contradicted),
        "corrections_unresolved": len(statements.unresolved),
    }
    if statements.contradicted:
        numbers = ", ".join(map(str, sorted(statements.contradicted)))
        facts["corrections_overruled"] = (
            f"Newer statements contradict {numbers}: withdraw those that are wrong."
        )
    return facts
