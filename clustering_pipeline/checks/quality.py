"""Checks that warn, or err where the settings say so, and never stop the workbook."""

from typing import Literal

import pandas as pd

from clustering_pipeline.checks.outcomes import Check, Evidence, Outcome


def _download_success(evidence: Evidence) -> Outcome:
    """The share of pictures that could not be had is below the limits of the download settings."""
    from clustering_pipeline.download import main_cause

    settings = evidence.settings.download
    share = _share(evidence.result["image_sha256"].isna())
    sentence = f"{share:.1%} of the pictures could not be had. {main_cause(evidence.result)}".strip()
    severity: Literal["warn", "error"] = "error" if share > settings.max_failed_share else "warn"
    return Outcome(share <= settings.warn_failed_share, sentence, {"failed_share": share}, severity)


def _detection_rate(evidence: Evidence) -> Outcome:
    """A product was found in enough pictures; in the others the whole picture is compared."""
    pictures = evidence.result.dropna(subset=["crop_sha256"]).drop_duplicates("image_sha256")
    found = 1.0 - _share(pictures["is_whole_image"])
    limit = evidence.settings.checks.detection_rate
    passed = found >= limit or pictures.empty
    return _limited(evidence, "detection_rate", passed, f"A product was found in {found:.1%} of the pictures.", found)


def _rejected_share(evidence: Evidence) -> Outcome:
    """Few crops are too bad to be compared."""
    share = _share(evidence.result["status"] == "rejected")
    passed = share <= evidence.settings.checks.rejected_share
    return _limited(evidence, "rejected_share", passed, f"{share:.1%} of the crops were rejected for their quality.", share)


def _no_match_share(evidence: Evidence) -> Outcome:
    """Not nearly all listings match nothing."""
    share = _share(evidence.result["status"] == "no_match")
    passed = share <= evidence.settings.checks.no_match_share
    return _limited(evidence, "no_match_share", passed, f"{share:.1%} of the listings match no other.", share)


def _largest_cluster_share(evidence: Evidence) -> Outcome:
    """No cluster holds so many listings that chains of wrong matches must be feared."""
    members = evidence.result.loc[evidence.result["cluster_id"].fillna(-1) >= 0, "cluster_id"]
    largest = int(members.value_counts().max()) if len(members) else 0
    share = largest / max(len(evidence.result), 1)
    # A handful of listings of one product is no chain.
    passed = share <= evidence.settings.checks.largest_cluster_share or largest < SMALLEST_CHAIN
    return _limited(
        evidence, "largest_cluster_share", passed, f"The largest cluster holds {largest} listings, {share:.1%}.", share
    )


def _cluster_count_jump(evidence: Evidence) -> Outcome:
    """The number of clusters is near that of the run before."""
    before, now = evidence.facts_before.get("clusters"), evidence.facts.get("clusters")
    if not isinstance(before, int) or not isinstance(now, int):
        return Outcome(True, "There is no run before to compare with.")
    change = abs(now - before) / max(before, 1)
    passed = change <= evidence.settings.checks.cluster_count_jump
    return _limited(evidence, "cluster_count_jump", passed, f"{before} clusters became {now}.", change)


def _limited(evidence: Evidence, limit: str, passed: bool, sentence: str, figure: float) -> Outcome:
    checks = evidence.settings.checks
    severity: Literal["warn", "error"] = "error" if checks.severity.get(limit) == "error" else "warn"
    text = sentence if passed else f"{sentence} The limit is `checks.{limit}` = {getattr(checks, limit):g}."
    return Outcome(passed, text, {limit: figure}, severity)


def _share(flags: "pd.Series[bool]") -> float:
    known = flags.fillna(False).astype(bool)
    return float(known.mean()) if len(known) else 0.0


SMALLEST_CHAIN = 20
DOWNLOAD_SUCCESS = Check("download_success", _download_success)
DETECTION_RATE = Check("detection_rate", _detection_rate)
REJECTED_SHARE = Check("rejected_share", _rejected_share)
NO_MATCH_SHARE = Check("no_match_share", _no_match_share)
LARGEST_CLUSTER_SHARE = Check("largest_cluster_share", _largest_cluster_share)
CLUSTER_COUNT_JUMP = Check("cluster_count_jump", _cluster_count_jump)
