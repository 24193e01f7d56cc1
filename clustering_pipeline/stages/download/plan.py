"""Which of a catalogue's pictures are held, which have to be asked for, and which cannot be."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pandas as pd

from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages.catalogue import stored_picture
from clustering_pipeline.stages.download.addresses import UrlError, parse_url
from clustering_pipeline.stages.download.answers import Failure, failure
from clustering_pipeline.stages.download.journal import (
    Entry,
    Journal,
    Picture,
    journal_key,
    limits_digest,
    reach_digest,
    violation,
)
from clustering_pipeline.stages.download.schedule import Job
from clustering_pipeline.storage import BlobStore

# Remote stores answer slowly, each look-up by itself.
_LOOKUPS_AT_ONCE = 16
_SECONDS_PER_DAY = 86_400
# Verdicts that another limit on bytes or pixels, or another decoder, may turn.
_LIMIT_KINDS = frozenset({"too_large", "bomb", "too_small", "truncated"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a listing's picture came to: held, failed, or both when a refresh failed."""

    picture: Picture | None
    failure: Failure | None


@dataclass(slots=True)
class Plan:
    """What to do for the distinct URLs of a catalogue.

    `keys`: URL as the catalogue has it → journal key. `settled`: what is settled without work, by
    key. `jobs`: what is asked for. `stored`: key → sha256 of the blob to be judged, for pictures
    that came from a folder.
    """

    keys: dict[str, str] = field(default_factory=dict)
    settled: dict[str, Outcome] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    stored: dict[str, str] = field(default_factory=dict)


def listed_pictures(catalogue: pd.DataFrame) -> pd.DataFrame:
    """Return a row per picture of every usable listing: `listing`, `position` (from 0), `url`."""
    usable = catalogue.loc[catalogue["usable"].fillna(False).astype(bool), ["listing", "urls"]]
    rows = usable.explode("urls").dropna(subset="urls").rename(columns={"urls": "url"})
    rows["position"] = rows.groupby("listing", sort=False).cumcount()
    return rows[["listing", "position", "url"]].reset_index(drop=True)


def make_plan(
    urls: Iterable[str], journal: Journal, blobs: BlobStore, settings: DownloadSettings
) -> Plan:
    """Return what to do for the distinct `urls`, given what the journal and the store hold; makes
    no request.
    """
    plan = Plan()
    jobs = {}
    for url in dict.fromkeys(urls):
        digest = stored_picture(url)
        if digest is not None:
            plan.keys[url] = key = f"stored:{digest}"
            plan.stored[key] = digest
            continue
        try:
            address = str(parse_url(url))
        except UrlError as error:
            plan.keys[url] = key = f"invalid:{url}"
            plan.settled[key] = Outcome(None, _invalid(url, error))
            continue
        plan.keys[url] = key = journal_key(address)
        # Most addresses need no change, and are not held twice then.
        jobs[key] = Job(key, url if address == url else address, settings.deadline_seconds)
    entries = journal.look_up([*jobs, *plan.stored])
    for key in _without_blob(entries, blobs):
        journal.forget(key)
        del entries[key]
    _settle_stored(plan, entries, settings)
    _settle_asked(plan, jobs, entries, settings)
    return plan


def _invalid(url: str, error: UrlError) -> Failure:
    if url.strip().lower().startswith("file:"):
        return failure(
            "invalid_url",
            "The cell names a file, and files are read only from the folder given by "
            "--images-from.",
        )
    return failure(
        "invalid_url",
        f"The URL {error}. Correct the cell; a picture needs an address like https://host/path.",
    )


def _without_blob(entries: Mapping[str, Entry], blobs: BlobStore) -> list[str]:
    """Return the keys of pictures that the journal knows and the store no longer has as they were
    kept, somebody having emptied it or the machine having stopped.
    """
    pictures = {key: entry.picture for key, entry in entries.items() if entry.picture}
    digests = [picture.image_sha256 for picture in pictures.values()]
    with ThreadPoolExecutor(_LOOKUPS_AT_ONCE) as threads:
        sizes = threads.map(blobs.size, digests)
        return [
            key
            for (key, picture), size in zip(pictures.items(), sizes, strict=True)
            if size != picture.bytes
        ]


def _settle_stored(plan: Plan, entries: Mapping[str, Entry], settings: DownloadSettings) -> None:
    for key in list(plan.stored):
        entry = entries.get(key)
        if (
            entry
            and not _may_turn(entry, settings)
            and not (entry.failure and entry.failure.transient)
        ):
            plan.settled[key] = outcome(entry, settings)
            del plan.stored[key]


def _settle_asked(
    plan: Plan, jobs: Mapping[str, Job], entries: Mapping[str, Entry], settings: DownloadSettings
) -> None:
    now = time.time()
    for key, job in jobs.items():
        entry = entries.get(key)
        if entry is None:
            plan.jobs.append(job)
        elif is_due(entry, settings, now):
            job.validators = entry.validators if entry.picture else None
            plan.jobs.append(job)
        else:
            plan.settled[key] = outcome(entry, settings)


def outcome(entry: Entry, settings: DownloadSettings) -> Outcome:
    """Return what an entry comes to under the limits of `settings`, which may have changed since
    the picture was kept.
    """
    refused = entry.picture and violation(entry.picture, settings)
    return Outcome(None, refused) if refused else Outcome(entry.picture, entry.failure)


def _may_turn(entry: Entry, settings: DownloadSettings) -> bool:
    """Whether an earlier verdict on a picture's bytes could be another under the limits of
    `settings`.
    """
    is_limited = entry.failure is not None and entry.failure.kind in _LIMIT_KINDS
    return entry.picture is None and is_limited and entry.limits != limits_digest(settings)


def is_due(entry: Entry, settings: DownloadSettings, now: float) -> bool:
    """Whether a URL that was asked for before is asked for again at `now` (Unix time)."""
    if entry.failure and entry.failure.transient:
        return True
    if (
        entry.failure
        and entry.failure.kind == "blocked_address"
        and entry.reach != reach_digest(settings)
    ):
        return True
    if _may_turn(entry, settings):
        return True
    if settings.refresh == "if_older_than":
        return now - entry.asked_at > settings.refresh_after_days * _SECONDS_PER_DAY
    return settings.refresh == "always"
