"""Fits the evidence model of pairs and the belief in membership, scores both across sets and
halves, and writes the package data.

Run `python -m training.pair_evidence --datasets ../shared/datasets --scratch FOLDER`. Shared sets
that are not there are left out. Figures are of models that saw no product of the half they are
scored on (halves: see `pair_sets`), and of models that saw nothing of the set. What is shipped is
fitted on everything.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import typer

from clustering_pipeline.core.evidence_model import EvidenceModel
from clustering_pipeline.core.manifests import MATCHES, conform
from clustering_pipeline.evaluation import score_clusters
from clustering_pipeline.evaluation.scores import Reliability, reliability
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stages.clustering.confidence import (
    DIRECTIONS,
    belief,
    membership_evidence,
    true_share,
)
from clustering_pipeline.stages.clustering.problem import Edges, make_edges
from clustering_pipeline.stages.matching.judging import (
    PairModels,
    judge,
    log_odds_alone,
    with_partners,
)
from clustering_pipeline.stages.matching.pair_features import Features
from training.monotone_fit import Training, fit_mixed, fit_model
from training.pair_sets import FOLDS, SEEDS, SHARED, PairSet, Variant, as_json

ROOT = Path(__file__).parents[1]
ALONE = ROOT / "clustering_pipeline" / "stages" / "matching" / "pair_evidence.json"
TOGETHER = ALONE.with_name("partner_evidence.json")
MEMBERSHIP = ROOT / "clustering_pipeline" / "stages" / "clustering" / "membership.json"
FIGURES = ROOT / "benchmarks" / "results" / "evidence_model.json"
RISING = [
    "print",
    "print_share",
    "print_share_far",
    "overlap",
    "colour",
    "shape",
    "text",
    "text_above",
    "text_gap",
    "text_share",
    "text_share_far",
    "text_words",
    "text_contained",
    "lines_agreeing",
    "title",
    "title_above",
    "title_gap",
    "title_share",
    "title_share_far",
    "title_words",
    "title_contained",
    "kind_overlap",
    "kind_jaccard",
    "form_overlap",
    "form_jaccard",
    "traits_overlap",
    "traits_jaccard",
    "rules",
    "rules_share",
    "rules_share_far",
    "encoder_out",
    "encoder_above",
    "encoder_gap",
    "second_out",
    "second_above",
    "second_gap",
    "palette_similarity",
    "palette_above",
    "palette_gap",
    "aligned_chroma_cosine",
    "aligned_correlation",
    "aligned_low_correlation",
    "aligned_worst_block",
    "aligned_lightness_correlation",
    "by_itself",
    "partners_common",
    "partners_jaccard",
    "path",
    "lead",
    "lead_far",
]
FALLING = [
    "overlay",
    "copies_differ",
    "lines_conflicting",
    "lines_against",
    "numbers_differ",
    "titles_contradict",
    "crowd",
    "shop_same",
    "map_turn",
    "map_stretch",
    "aligned_hue",
    "aligned_tint",
    "aligned_apart",
    "aligned_deficit",
    "aligned_differing",
    "aligned_patch",
    "aligned_patch_over",
    "aligned_one_coloured",
    "aligned_lightness",
    "partners_differ",
    "path_broken",
]
# What kind of pictures a pair is of, by which trees may tell cases apart.
EITHER_WAY = [
    "context_keypoints_least",
    "context_keypoints_most",
    "context_lines_least",
    "context_lines_most",
    "context_area_least",
    "context_area_most",
]
# Which way the odds of one product go with each feature.
SIGNS = dict.fromkeys(RISING, 1) | dict.fromkeys(FALLING, -1) | dict.fromkeys(EITHER_WAY, 0)
# How much a set counts where it is not 1: real listings of many sellers are the hardest, and what
# the package is for. At 30, tried before context was a feature, shop photos lose what sellers gain.
SHARES = {"sellers": 10.0}
# How much photographs weigh beside drawn sets in the belief in membership, and a set whose packs
# were read beside the same without.
PHOTOGRAPHS = 10.0
READ = 3.0
# How much a set counts without text on packs beside the same set with it.
UNREAD = 0.4

NOTE = (
    "Figures on listings, through the stages with default settings, by models that saw no product "
    "of the half they are scored on, or nothing of the set. `sellers` is read with `matches.sizes: "
    "join`, as its truth is. `calibration_error`: of the confidence, over crops that are not "
    "alone; `said` and `true` its mean and the mean share of true companions. Made by `python -m "
    "training.pair_evidence`."
)

Tables = Mapping[Variant, pd.DataFrame]


def fit_models(tables: Tables, unseen: str | None = None) -> PairModels:
    """Return the models of the tables that saw no product of the half `unseen`.

    What the second model is told of other pairs comes from models that saw neither of a pair's
    products, as it will be of a new category.
    """
    seen = {variant: _is_seen(table, unseen) for variant, table in tables.items()}
    alone = fit_pairs({variant: table[seen[variant]] for variant, table in tables.items()})
    without_fold = [
        fit_pairs(
            {
                variant: table[
                    seen[variant] & (table["fold_first"] != fold) & (table["fold_second"] != fold)
                ]
                for variant, table in tables.items()
            }
        )
        for fold in range(FOLDS)
    ]
    beside = {
        variant: _beside_others(table, without_fold)[seen[variant]]
        for variant, table in tables.items()
    }
    return PairModels(alone, fit_pairs(beside))


def _is_seen(table: pd.DataFrame, unseen: str | None) -> pd.Series:
    """Whether neither product of a pair is in the half `unseen`: bool (m,)."""
    other = {"A": "B", "B": "A"}
    return table["half"].isin(["A", "B", "AB"] if unseen is None else [other[unseen]])


def _beside_others(table: pd.DataFrame, without_fold: Sequence[EvidenceModel]) -> pd.DataFrame:
    """Return the table with what the other pairs say, each judged by the model that did not see the
    product of its first crop.
    """
    features: Features = {name: table[name].to_numpy(float) for name in SIGNS if name in table}
    by_fold = np.stack([log_odds_alone(model, features, len(table)) for model in without_fold])
    log_odds = by_fold[table["fold_first"], np.arange(len(table))]
    pairs = table[["first", "second"]].to_numpy(np.int64)
    return table.assign(**with_partners({}, pairs, log_odds))


def fit_pairs(tables: Tables) -> EvidenceModel:
    """Return the model of the tables: sets weigh by `SHARES`, however many variants each has."""
    totals: dict[str, float] = {}
    share = {variant: 1.0 if variant.text else UNREAD for variant in tables}
    for variant in tables:
        totals[variant.name] = totals.get(variant.name, 0.0) + share[variant]
    parts = [
        table.assign(
            w=table["w"]
            / table["w"].sum()
            * share[variant]
            / totals[variant.name]
            * SHARES.get(variant.name, 1.0)
        )
        for variant, table in tables.items()
    ]
    joined = pd.concat(parts, ignore_index=True)
    features = {name: joined[name].to_numpy(float) for name in SIGNS if name in joined}
    return fit_mixed(
        Training(features, joined["same"].to_numpy(float), joined["w"].to_numpy(float)), SIGNS
    )


def judged_of(data: PairSet, variant: Variant, models: PairModels) -> pd.DataFrame:
    """Return MATCHES as models judge all candidates, all packs read or none."""
    matcher = data.prepared.matcher(data.settings(variant.text), titles=variant.titles)
    return conform(
        judge(matcher.products, data.examined(variant), models, matcher.settings), MATCHES
    )


@dataclass(frozen=True)
class Scored:
    """A variant as a model that knows nothing of `half` (None: of the whole set) groups it."""

    variant: Variant
    half: str | None
    scores: Mapping[str, float]
    labels: np.ndarray
    odds: Edges
    nodes: np.ndarray
    truth: np.ndarray


def score(data: PairSet, variant: Variant, models: PairModels, half: str | None) -> Scored:
    """Group a variant by the real stages and score the listings of the products of `half`."""
    matches = judged_of(data, variant, models)
    clusters = data.prepared.group(matches, ClusterSettings(), titles=variant.titles)
    truth = data.prepared.truth
    rows = np.array([half is None or data.halves[one] == half for one in truth])
    index = pd.Index(data.crops)
    rows_of, columns_of = (
        index.get_indexer(pd.Index(matches[side])).astype(np.int64) for side in ("crop_a", "crop_b")
    )
    weights, certain = matches["log_odds"].to_numpy(float), np.ones(len(matches))
    odds = make_edges(rows_of, columns_of, weights, certain, len(index))
    labels = np.unique(clusters[data.listings], return_inverse=True)[1]
    nodes = np.array([half is None or data.halves[one] == half for one in data.truth])
    found = score_clusters(truth[rows].tolist(), clusters[rows].tolist())
    return Scored(variant, half, found, labels, odds, nodes, data.truth)


def fit_belief(scored: Iterable[Scored]) -> EvidenceModel:
    """Return the model of membership, from clusters of models that knew nothing of their products;
    sets weigh by `PHOTOGRAPHS` and `READ`, however many crops each has.
    """
    parts = []
    for one in scored:
        share = true_share(one.labels, one.truth)
        chosen = np.isfinite(share) & one.nodes
        frame = pd.DataFrame({**membership_evidence(one.labels, one.odds), "same": share})[chosen]
        weight = (PHOTOGRAPHS if one.variant.name in SHARED else 1.0) * (
            READ if one.variant.text else 1.0
        )
        parts.append(frame.assign(w=weight / max(len(frame), 1)))
    joined = pd.concat(parts, ignore_index=True)
    # As many in all as there are sets, so that `ridge` means what it means among alike ones.
    joined["w"] *= len(parts) / joined["w"].sum()
    features = {name: joined[name].to_numpy(float) for name in DIRECTIONS}
    training = Training(features, joined["same"].to_numpy(float), joined["w"].to_numpy(float))
    return fit_model(training, DIRECTIONS, knots=4, ridge=2.0)


def reliability_of(one: Scored, model: EvidenceModel) -> Reliability:
    """Return how far the belief in membership can be believed among the crops that count."""
    share = true_share(one.labels, one.truth)
    held = np.isfinite(share) & one.nodes
    return reliability(belief(one.labels, one.odds, model)[held], share[held])


def cross_fitted(data: Mapping[str, PairSet], tables: Tables) -> dict[str, list[Scored]]:
    """Return by half what models make of it that saw only the other half of every set."""
    found = {}
    for half in "AB":
        models = fit_models(tables, half)
        found[half] = [score(data[variant.name], variant, models, half) for variant in tables]
    return found


def left_out(data: Mapping[str, PairSet], tables: Tables) -> list[Scored]:
    """Return what models make of each set that saw nothing of it."""
    found = []
    for name in data if len(data) > 1 else ():
        models = fit_models(
            {variant: table for variant, table in tables.items() if variant.name != name}
        )
        found += [
            score(data[name], variant, models, None) for variant in tables if variant.name == name
        ]
    return found


def run(
    data: Mapping[str, PairSet],
) -> tuple[PairModels, EvidenceModel, list[dict[str, object]]]:
    """Return the models of pairs and of membership fitted on everything, and a row of figures per
    variant.
    """
    tables = {variant: one.table(variant) for one in data.values() for variant in one.variants}
    halves, alone = cross_fitted(data, tables), left_out(data, tables)
    beliefs = {half: fit_belief(halves["B" if half == "A" else "A"]) for half in halves}
    rows = [
        _row(one, f"half {half}", reliability_of(one, beliefs[half]))
        for half in halves
        for one in halves[half]
    ]
    rows += [_row(one, "set left out", reliability_of(one, beliefs["A"])) for one in alone]
    return fit_models(tables), fit_belief([one for found in halves.values() for one in found]), rows


def _row(one: Scored, kind: str, curve: Reliability) -> dict[str, object]:
    names = ("bcubed_f1", "pairwise_f1", "pairwise_precision", "pairwise_recall", "mixed_share")
    return {
        "set": str(one.variant),
        "scored on": kind,
        **{name: one.scores[name] for name in names},
        "calibration_error": curve.error,
        "said": float(np.average(curve.said, weights=curve.weights)) if len(curve.said) else None,
        "true": float(np.average(curve.true, weights=curve.weights)) if len(curve.said) else None,
    }


def as_table(rows: Sequence[Mapping[str, object]]) -> str:
    """Return figures as a Markdown table."""
    names = list(rows[0])
    cells = [
        [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()]
        for row in rows
    ]
    return (
        "\n".join("| " + " | ".join(line) + " |" for line in [names, ["---"] * len(names), *cells])
        + "\n"
    )


def main(
    datasets: Path = Path("../shared/datasets"), scratch: Path = Path("pair_evidence_scratch")
) -> None:
    """Fit on halves and without each set to score, then on everything to ship."""
    names = [name for name in SHARED if (datasets / name).exists()] + list(SEEDS)
    data = {name: PairSet(name, datasets, scratch) for name in names}
    pairs, membership, rows = run(data)
    ALONE.write_text(pairs.alone.as_json() + "\n", encoding="utf-8")
    TOGETHER.write_text(pairs.together.as_json() + "\n", encoding="utf-8")
    MEMBERSHIP.write_text(membership.as_json() + "\n", encoding="utf-8")
    FIGURES.write_text(as_json(rows) + "\n", encoding="utf-8")
    FIGURES.with_suffix(".md").write_text(
        "# The evidence model\n\n" + NOTE + "\n\n" + as_table(rows), encoding="utf-8"
    )
    typer.echo(as_table(rows))


if __name__ == "__main__":
    typer.run(main)
