"""Checks that block: a manifest that fails one would make a wrong workbook."""

import pandas as pd

from clustering_pipeline.checks.outcomes import Check, Evidence, Outcome
from clustering_pipeline.manifests import to_table


def _schema(evidence: Evidence) -> Outcome:
    """The manifest has exactly its columns, each of its type."""
    expected, given = evidence.manifest.schema.names, list(evidence.result.columns)
    if expected != given:
        return _failed(f"Missing columns {sorted(set(expected) - set(given))}, unknown {sorted(set(given) - set(expected))}.")
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
    usable = catalogue.loc[catalogue["usable"].fillna(False).astype(bool) & (catalogue["urls"].str.len() > 0), "listing"]
    return _same_listings(usable, evidence.result["listing"].drop_duplicates())


def _every_row_written(evidence: Evidence) -> Outcome:
    """The workbook has a label for every row of the catalogue."""
    expected, written = len(evidence.upstream["catalogue"]), set(evidence.result["rows"])
    return (
        Outcome(True, f"{expected} rows.")
        if written == {expected}
        else _failed(f"{expected} rows went in, {written} came out.")
    )


def _same_listings(expected: "pd.Series[int]", given: "pd.Series[int]") -> Outcome:
    lost, added = set(expected) - set(given), set(given) - set(expected)
    if lost or added or len(expected) != len(given):
        return _failed(f"{len(expected)} listings went in, {len(given)} came out: {len(lost)} lost, {len(added)} from nowhere.")
    return Outcome(True, f"{len(expected)} listings in and out.")


def _failed(sentence: str) -> Outcome:
    return Outcome(False, sentence, severity="error")


SCHEMA = Check("schema", _schema, blocking=True)
UNIQUE_KEYS = Check("unique_keys", _unique_keys, blocking=True)
EVERY_LISTING = Check("rows_in_rows_out", _every_listing, blocking=True)
USABLE_LISTINGS = Check("rows_in_rows_out", _usable_listings, blocking=True)
EVERY_ROW_WRITTEN = Check("rows_in_rows_out", _every_row_written, blocking=True)
