"""Checks of the assets: those of integrity block, those of quality warn or err as the settings
say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from clustering_pipeline.core.manifests import Manifest, to_table
from clustering_pipeline.core.progress import Facts, commonest
from clustering_pipeline.settings import PipelineSettings


@dataclass(frozen=True)
class Evidence:
    """One materialisation: the manifest with its schema and facts, what it was made from, and the
    facts of the last one.
    """

    result: pd.DataFrame
    manifest: Manifest
    upstream: Mapping[str, pd.DataFrame]
    facts: Facts
    facts_before: Facts
    settings: PipelineSettings


@dataclass(frozen=True)
class Outcome:
    """Whether a check passed, in a sentence, with the figures it looked at."""

    passed: bool
    sentence: str
    figures: Facts = field(default_factory=dict)
    severity: Literal["warn", "error"] = "warn"


@dataclass(frozen=True)
class Check:
    """A named check of an asset.

    A blocking one stops what is made from the asset; only integrity is worth that.
    """

    name: str
    evaluate: Callable[[Evidence], Outcome]
    blocking: bool = False
    # What to tell whoever meets a blocking one that failed.
    advice: str = (
        "This is a fault of the stage and not of the catalogue: please report it with the "
        "workbook's columns."
    )

    @property
    def description(self) -> str:
        """What the check looks at."""
        return (self.evaluate.__doc__ or "").strip()


def _schema(evidence: Evidence) -> Outcome:
    """The manifest has exactly its columns, each of its type."""
    expected, columns = evidence.manifest.schema.names, list(evidence.result.columns)
    if expected != columns:
        return _failed(
            f"Missing columns {sorted(set(expected) - set(columns))}, unknown "
            f"{sorted(set(columns) - set(expected))}."
        )
    try:
        to_table(evidence.result, evidence.manifest)
    except ValueError as error:
        return _failed(str(error))
    return Outcome(True, f"{len(expected)} columns.")


def _unique_keys(evidence: Evidence) -> Outcome:
    """No two rows have the same key, and no key is missing."""
    keys = evidence.result[list(evidence.manifest.key)]
    repeated, missing = int(keys.duplicated().sum()), int(keys.isna().any(axis=1).sum())
    named = ", ".join(evidence.manifest.key)
    if repeated or missing:
        return _failed(f"{repeated} repeated and {missing} missing keys ({named}).")
    return Outcome(True, f"{len(keys)} rows, each with a {named} of its own.")


def _every_listing(evidence: Evidence) -> Outcome:
    """Every row of the catalogue is in the result, once."""
    return _same_listings(evidence.upstream["catalogue"]["listing"], evidence.result["listing"])


def _usable_listings(evidence: Evidence) -> Outcome:
    """Every listing that has a picture's address has a row for it."""
    catalogue = evidence.upstream["catalogue"]
    usable = catalogue.loc[
        catalogue["usable"].fillna(False).astype(bool) & (catalogue["urls"].str.len() > 0),
        "listing",
    ]
    return _same_listings(usable, evidence.result["listing"].drop_duplicates())


def _every_row_written(evidence: Evidence) -> Outcome:
    """The workbook has a label for every row of the catalogue."""
    expected, written = len(evidence.upstream["catalogue"]), set(evidence.result["rows"])
    return (
        Outcome(True, f"{expected} rows.")
        if written == {expected}
        else _failed(f"{expected} rows went in, {written} came out.")
    )


def _same_listings(expected: "pd.Series[int]", listings: "pd.Series[int]") -> Outcome:
    lost, added = set(expected) - set(listings), set(listings) - set(expected)
    if lost or added or len(expected) != len(listings):
        return _failed(
            f"{len(expected)} listings went in, {len(listings)} came out: {len(lost)} lost, "
            f"{len(added)} from nowhere."
        )
    return Outcome(True, f"{len(expected)} listings in and out.")


def _failed(sentence: str) -> Outcome:
    return Outcome(False, sentence, severity="error")


SCHEMA = Check("schema", _schema, blocking=True)
UNIQUE_KEYS = Check("unique_keys", _unique_keys, blocking=True)
EVERY_LISTING = Check("rows_in_rows_out", _every_listing, blocking=True)
USABLE_LISTINGS = Check("rows_in_rows_out", _usable_listings, blocking=True)
EVERY_ROW_WRITTEN = Check("rows_in_rows_out", _every_row_written, blocking=True)


def _download_success(evidence: Evidence) -> Outcome:
    """The share of failed downloads is below the limits of the download settings."""
    from clustering_pipeline.stages.download import main_cause

    settings = evidence.settings.download
    share = _share(evidence.result["image_sha256"].isna())
    cause = main_cause(evidence.result)
    sentence = f"{share:.1%} of the pictures could not be downloaded. {cause}".strip()
    severity: Literal["warn", "error"] = "error" if share > settings.max_failed_share else "warn"
    return Outcome(share <= settings.warn_failed_share, sentence, {"failed_share": share}, severity)


REASONS_TOLD = 3


def _enough_pictures(evidence: Evidence) -> Outcome:
    """There are pictures, and not many fewer than the last run had."""
    catalogue = evidence.upstream["catalogue"]
    usable = int(evidence.result["image_sha256"].notna().sum())
    before = int(evidence.facts_before.get("pictures", 0)) - int(
        evidence.facts_before.get("failed", 0)
    )
    least = evidence.settings.download.least_share
    expected = min(before, max(len(evidence.result), len(catalogue)))
    figures = {"pictures_held": usable, "pictures_before": before}
    if least == 0 or (usable > 0 and usable >= least * expected):
        return Outcome(True, f"{usable:,} pictures.", figures)
    usable_pictures = (
        f"Only {usable:,} pictures can be used" if usable else "No picture can be used"
    )
    comparison = f"; the last run had {before:,}" if before else ""
    failed = evidence.result.loc[evidence.result["image_sha256"].isna(), "error"]
    reasons = pd.concat([catalogue.loc[~catalogue["usable"].astype(bool), "reason"], failed])
    commonest_reasons = " ".join(
        f"{count:,} ×: {reason}"
        for reason, count in commonest(map(str, reasons.dropna()), REASONS_TOLD)
    )
    return Outcome(
        False, f"{usable_pictures}{comparison}. {commonest_reasons}".strip(), figures, "error"
    )


def _detection_rate(evidence: Evidence) -> Outcome:
    """A product was found in enough pictures; in the others the whole picture is compared."""
    pictures = evidence.result.dropna(subset=["crop_sha256"]).drop_duplicates("image_sha256")
    share = 1.0 - _share(pictures["is_whole_image"])
    limit = evidence.settings.checks.detection_rate
    passed = share >= limit or pictures.empty
    return _limited(
        evidence,
        "detection_rate",
        passed,
        f"A product was found in {share:.1%} of the pictures.",
        share,
    )


def _rejected_share(evidence: Evidence) -> Outcome:
    """Few crops are too bad to be compared."""
    return _at_most(
        evidence, "rejected_share", "rejected", "of the crops were rejected for their quality."
    )


def _no_match_share(evidence: Evidence) -> Outcome:
    """Not nearly all listings match nothing."""
    return _at_most(evidence, "no_match_share", "no_match", "of the listings match no other.")


def _at_most(evidence: Evidence, limit: str, status: str, words: str) -> Outcome:
    share = _share(evidence.result["status"] == status)
    passed = share <= getattr(evidence.settings.checks, limit)
    return _limited(evidence, limit, passed, f"{share:.1%} {words}", share)


def _largest_cluster_share(evidence: Evidence) -> Outcome:
    """No cluster holds so many listings that chains of wrong matches must be feared."""
    members = evidence.result.loc[evidence.result["cluster_id"].fillna(-1) >= 0, "cluster_id"]
    largest = int(members.value_counts().max()) if len(members) else 0
    share = largest / max(len(evidence.result), 1)
    # A handful of listings of one product is no chain.
    passed = share <= evidence.settings.checks.largest_cluster_share or largest < SMALLEST_CHAIN
    return _limited(
        evidence,
        "largest_cluster_share",
        passed,
        f"The largest cluster holds {largest} listings, {share:.1%}.",
        share,
    )


def _cluster_count_jump(evidence: Evidence) -> Outcome:
    """The number of clusters is near that of the run before."""
    before, now = evidence.facts_before.get("clusters"), evidence.facts.get("clusters")
    if not isinstance(before, int) or not isinstance(now, int):
        return Outcome(True, "There is no run before to compare with.")
    change = abs(now - before) / max(before, 1)
    passed = change <= evidence.settings.checks.cluster_count_jump
    return _limited(
        evidence, "cluster_count_jump", passed, f"{before} clusters became {now}.", change
    )


def _limited(evidence: Evidence, limit: str, passed: bool, sentence: str, figure: float) -> Outcome:
    checks = evidence.settings.checks
    severity: Literal["warn", "error"] = (
        "error" if checks.severity.get(limit) == "error" else "warn"
    )
    text = (
        sentence
        if passed
        else f"{sentence} The limit is `checks.{limit}` = {getattr(checks, limit):g}."
    )
    return Outcome(passed, text, {limit: figure}, severity)


def _share(flags: "pd.Series[bool]") -> float:
    values = flags.fillna(False).astype(bool)
    return float(values.mean()) if len(values) else 0.0


SMALLEST_CHAIN = 20
DOWNLOAD_SUCCESS = Check("download_success", _download_success)
ENOUGH_PICTURES = Check(
    "enough_pictures",
    _enough_pictures,
    blocking=True,
    advice="What the last run made stays as it is. Run again when this is put right; "
    "`--set download.least_share=0` goes on with what there is.",
)
DETECTION_RATE = Check("detection_rate", _detection_rate)
REJECTED_SHARE = Check("rejected_share", _rejected_share)
NO_MATCH_SHARE = Check("no_match_share", _no_match_share)
LARGEST_CLUSTER_SHARE = Check("largest_cluster_share", _largest_cluster_share)
CLUSTER_COUNT_JUMP = Check("cluster_count_jump", _cluster_count_jump)
