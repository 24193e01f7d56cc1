"""From labels of crops to one place for every listing, and how sure each place is."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from clustering_pipeline.core.graph import DisjointSets, spanning_links
from clustering_pipeline.core.text import title_words
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stages.clustering.confidence import belief, membership_model, shifted
from clustering_pipeline.stages.clustering.corrections import Link
from clustering_pipeline.stages.clustering.listings import ListingPictures
from clustering_pipeline.stages.clustering.numbering import Members
from clustering_pipeline.stages.clustering.problem import NOISE, ClusteringProblem, Edges


def attach(
    labels: NDArray[np.int64],
    members: Sequence[Members],
    links: Iterable[Link],
    current: Mapping[int, Members],
) -> NDArray[np.int64]:
    """Return labels (int64, n) in which every listing that is in a numbered cluster stays there
    with its mates.

    `labels` are those of a grouping from scratch, `members` the names of each listing, `current`
    the numbered clusters. A new listing goes to the numbered cluster of its own group to which its
    links weigh most; groups of new listings only stay.
    """
    number_of = {member: number for number, names in current.items() for member in names}
    # A listing known by its id and by its picture follows its id, which sorts first.
    numbers = np.array(
        [
            next((number_of[name] for name in sorted(names) if name in number_of), NOISE)
            for names in members
        ],
        np.int64,
    )
    weights: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for a, b, weight in links:
        for new, old in ((a, b), (b, a)):
            if numbers[new] == NOISE != numbers[old] and labels[new] == labels[old] != NOISE:
                weights[new][int(numbers[old])] += weight
    fresh = int(numbers.max(initial=0)) + 1
    result = np.where(labels == NOISE, NOISE, labels + fresh)
    for listing, toward in weights.items():
        numbers[listing] = min(toward, key=lambda number: (-toward[number], number))
    return np.where(numbers == NOISE, result, numbers)


@dataclass(frozen=True)
class Confidence:
    """`agreement`: the best probability of a match within the own cluster (float64, n, 0 to 1).
    `margin`: the share of a node's evidence that stays in its cluster against that and the
    strongest other cluster (float64, n, 0 to 1). `within`: the sum of that evidence (float64, n).
    `weakest_link`: per cluster the least probability on its maximum spanning tree, 0 where no
    evidence holds it together.
    """

    agreement: NDArray[np.float64]
    within: NDArray[np.float64]
    margin: NDArray[np.float64]
    weakest_link: dict[int, float]


def measure_confidence(labels: NDArray[np.int64], edges: Edges) -> Confidence:
    """Return the confidence in `labels` (int64, n; -1 is noise) given the evidence of `edges`."""
    size = len(labels)
    rows = np.concatenate([edges.rows, edges.columns])
    columns = np.concatenate([edges.columns, edges.rows])
    weights, probabilities = np.tile(edges.weights, 2), np.tile(edges.probabilities, 2)
    grouped = labels[columns] != NOISE
    inside = grouped & (labels[rows] == labels[columns])
    agreement, within = np.zeros(size), np.zeros(size)
    np.maximum.at(agreement, rows[inside], probabilities[inside])
    np.add.at(within, rows[inside], weights[inside])
    outside = grouped & ~inside
    strongest = _strongest_other(size, rows[outside], labels[columns[outside]], weights[outside])
    total = within + strongest
    margin = np.divide(within, total, out=np.ones(size), where=total > 0)
    return Confidence(agreement, within, margin, _weakest_links(labels, edges))


def _strongest_other(
    size: int, rows: NDArray[np.int64], clusters: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    strongest = np.zeros(size)
    if len(rows) == 0:
        return strongest
    sums = (
        sparse.coo_matrix((weights, (rows, clusters)), shape=(size, clusters.max() + 1))
        .tocsr()
        .tocoo()
    )
    np.maximum.at(strongest, sums.row, sums.data)
    return strongest


def _weakest_links(labels: NDArray[np.int64], edges: Edges) -> dict[int, float]:
    inside = (labels[edges.rows] == labels[edges.columns]) & (labels[edges.rows] != NOISE)
    kept = edges.where(inside)
    order = np.argsort(-kept.probabilities, kind="stable")
    tree = order[spanning_links(len(labels), kept.rows[order], kept.columns[order])]
    members = np.bincount(labels[labels != NOISE])
    weakest, link_counts = (
        np.ones(len(members)),
        np.bincount(labels[kept.rows[tree]], minlength=len(members)),
    )
    # To 52 binary places, as in results that homes hold.
    np.minimum.at(weakest, labels[kept.rows[tree]], 2 - (2 - kept.probabilities[tree]))
    weakest[link_counts < members - 1] = 0
    return {int(label): float(weakest[label]) for label in np.flatnonzero(members)}


ALONE = "No other listing was found that shows this product."
SAME_TITLE = (
    "No other picture was found that shows this product; other listings have the same title."
)
# Clusters are one when at least this many listings have a picture in both ...
AGREEING_LISTINGS = 2
# ... and they are at least this share of each.
AGREEING_SHARE = 0.5


def place_listings(
    brought: ListingPictures, problem: ClusteringProblem, node_labels: NDArray[np.int64]
) -> pd.DataFrame:
    """Return a row per listing with its `node` (-1 without one), `label` and crop, in an order that
    no workbook's order changes.

    Clusters on which listings with several pictures agree are joined; then a listing goes where its
    first picture that is not alone goes.
    """
    pictures = brought.pictures.copy()
    pictures["node"] = pd.Index(problem.keys).get_indexer(pd.Index(pictures["node_key"]))
    # Listings that share one kept picture belong together even where a method calls the picture
    # noise.
    own = node_labels.max(initial=0) + 1 + np.arange(problem.size)
    pictures["label"] = np.where(node_labels == NOISE, own, node_labels)[pictures["node"]]
    pictures["label"] = _join_agreeing(pictures)
    pictures["company"] = pictures.groupby("label")["listing"].transform("nunique") > 1
    chosen = pictures.sort_values("company", ascending=False, kind="stable").drop_duplicates(
        "listing"
    )
    chosen = chosen[
        ["listing", "node", "label", "crop_sha256", "keeper", "relation", "image_sha256"]
    ]
    table = brought.listings.merge(chosen, on="listing", how="left")
    table["label"] = table["label"].fillna(NOISE).astype(np.int64)
    table["node"] = table["node"].fillna(-1).astype(np.int64)
    return table.sort_values(
        ["product_base_id", "image_sha256", "listing"], kind="stable", ignore_index=True
    )


def _join_agreeing(pictures: pd.DataFrame) -> pd.Series:
    placements = pictures[["listing", "label"]].drop_duplicates()
    several = placements[placements["listing"].duplicated(keep=False)]
    both = (
        several.merge(several, on="listing")
        .query("label_x < label_y")
        .groupby(["label_x", "label_y"])
        .size()
    )
    sizes = placements["label"].value_counts()
    sets: DisjointSets[int] = DisjointSets()
    for first, second, count in (
        both[both >= AGREEING_LISTINGS].reset_index().itertuples(index=False, name=None)
    ):
        if count >= AGREEING_SHARE * max(sizes[first], sizes[second]):
            sets.join(*sorted((sets.find(first), sets.find(second))))
    return pictures["label"].map(sets.find).astype(np.int64)


def listing_links(table: pd.DataFrame, problem: ClusteringProblem) -> Iterator[Link]:
    """Yield the evidence between rows of `table`: those of one picture, and the matches between the
    first listings of two.
    """
    placed = table[table["node"] >= 0]
    first: dict[int, int] = {}
    for index, node in zip(placed.index.tolist(), placed["node"].tolist(), strict=True):
        if first.setdefault(node, index) != index:
            yield first[node], index, np.inf
    edges = problem.edges
    for row, column, weight in zip(
        edges.rows.tolist(), edges.columns.tolist(), edges.weights.tolist(), strict=True
    ):
        if row in first and column in first:
            yield first[row], first[column], weight


def settle(table: pd.DataFrame, settings: ClusterSettings) -> pd.DataFrame:
    """Return the table with final `label`, `status` and `reason`; a cluster of one is none, unless
    settings make it one.
    """
    table = table.copy()
    sizes = table["label"].map(table["label"].value_counts())
    together = (table["label"] != NOISE) & (sizes > 1)
    alone = table["status"].isna() & ~together
    if settings.no_match == "singleton":
        together |= alone
    table.loc[~together, "label"] = NOISE
    table.loc[together, ["status", "reason"]] = ["clustered", None]
    table.loc[table["status"].isna(), "status"] = "no_match"
    table.loc[alone, "reason"] = np.where(_titled_alike(table)[alone], SAME_TITLE, ALONE)
    return _name_originals(table)


def _titled_alike(table: pd.DataFrame) -> pd.Series:
    """Return whether another listing with a picture has the same title but for case and
    punctuation.
    """
    words = table["title"].fillna("").map(title_words)
    shown = words.where((table["node"] >= 0) & words.map(bool))
    return shown.notna() & shown.duplicated(keep=False)


def _name_originals(table: pd.DataFrame) -> pd.DataFrame:
    """Say of every duplicate which listing shows the picture that was kept for it."""
    clustered = table[(table["node"] >= 0) & (table["label"] != NOISE)]
    originals = clustered.sort_values("relation", kind="stable").drop_duplicates(
        ["keeper", "label"]
    )
    pairs = clustered.merge(
        originals[["keeper", "label", "listing", "product_base_id"]],
        on=["keeper", "label"],
        suffixes=("", "_of"),
    )
    pairs = pairs[pairs["listing"] != pairs["listing_of"]]
    likeness = {True: "the same picture", False: "a nearly identical picture"}
    sentences = [
        f"duplicate of {original}: {likeness[same]}"
        for original, same in zip(pairs["product_base_id_of"], pairs["relation"] == "", strict=True)
    ]
    reasons = table["listing"].map(dict(zip(pairs["listing"], sentences, strict=True)))
    return table.assign(reason=reasons.fillna(table["reason"]))


def labels_of_nodes(table: pd.DataFrame, problem: ClusteringProblem) -> NDArray[np.int64]:
    """Return the final label (int64, n) of each node, that of the last of its listings; -1 where
    those match nothing.
    """
    placed = table[table["node"] >= 0]
    labels = np.full(problem.size, NOISE, np.int64)
    labels[placed["node"]] = placed["label"]
    return labels


def describe(
    table: pd.DataFrame,
    problem: ClusteringProblem,
    said: Iterable[tuple[int, int]] = (),
    shift: float = 0.0,
) -> pd.DataFrame:
    """Return the table with `confidence`, `margin`, `weakest_link` and `is_representative`.

    `said`: pairs of rows that a person calls one product; of these the confidence is 1. `shift`: by
    how much the logits of the others are too small, as answers say.
    """
    labels = labels_of_nodes(table, problem)
    sure = measure_confidence(labels, problem.edges)
    by_node = pd.DataFrame(
        {"agreement": sure.agreement * sure.margin, "margin": sure.margin, "within": sure.within}
    )
    if len(problem.odds):
        by_node["agreement"] = belief(labels, problem.odds, membership_model())
    own = by_node.reindex(table["node"]).reset_index(drop=True)
    clustered = table["label"] != NOISE
    confidence = _with_copies(table, shifted(own["agreement"], shift))
    confirmed = [
        row
        for pair in said
        if table["label"].iloc[pair[0]] == table["label"].iloc[pair[1]]
        for row in pair
    ]
    confidence.iloc[confirmed] = 1.0
    best = table.assign(within=own["within"].fillna(-1.0), copied=table["relation"] != "")[
        clustered
    ]
    best = best.sort_values(
        ["within", "copied"], ascending=[False, True], kind="stable"
    ).drop_duplicates("label")
    return table.assign(
        margin=own["margin"].where(clustered),
        confidence=confidence.where(clustered),
        weakest_link=table["label"].map(sure.weakest_link).where(clustered),
        is_representative=table.index.isin(best.index),
    )


def _with_copies(table: pd.DataFrame, agreement: pd.Series) -> pd.Series:
    """Return how likely each listing belongs to the others of its cluster, those included that
    share its picture for certain.
    """
    copies = table.groupby(["node", "label"])["listing"].transform("size") - 1
    others = table.groupby("label")["listing"].transform("size") - 1
    shared = (copies / others.where(others > 0)).fillna(0.0)
    return shared + (1 - shared) * agreement
