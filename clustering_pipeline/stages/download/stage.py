"""The stage: every distinct picture of a catalogue once, as a row per listing and picture, with
counts, causes, the worst hosts and the traffic as facts.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import pandas as pd

from clustering_pipeline.core.engine import available_cores
from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.manifests import RAW_IMAGES, conform, joined_frames, to_frame
from clustering_pipeline.core.progress import Fact, Facts, ProgressBar
from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.stages.download.answers import Content, Failure, Validators
from clustering_pipeline.stages.download.fetcher import Fetcher, Traffic, run_in_own_loop
from clustering_pipeline.stages.download.journal import ImageStore, Journal
from clustering_pipeline.stages.download.plan import (
    Outcome,
    Plan,
    listed_pictures,
    make_plan,
    outcome,
)
from clustering_pipeline.storage import BlobStore, layout

WORST_HOSTS = 10
_ROWS_AT_ONCE = 16_384
OK: Final = "ok"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class _RecordingSink:
    """Keeps and journals what the fetcher hands over, and counts it."""

    store: ImageStore
    bar: ProgressBar

    def content(self, key: str, content: Content) -> None:
        self.store.keep(key, content.body, content.validators, content.status)
        self.bar.advance()

    def unchanged(self, key: str) -> None:
        self.store.unchanged(key)
        self.bar.advance()

    def failed(self, failures: list[tuple[str, Failure]]) -> None:
        self.store.fail(failures)
        self.bar.advance(len(failures))


def run(
    *, catalogue: pd.DataFrame, settings: DownloadSettings, context: StageContext
) -> StageResult:
    """Return RAW_IMAGES: every picture of every usable listing, each distinct URL asked for at most
    once.

    `catalogue`: the CATALOGUE manifest. Pictures that are held are not asked for again unless
    `settings.refresh` says so; every answer is journalled in `context.place` before the next
    request takes its place, so that a run that was stopped goes on where it was. A row has `status`
    `ok` with the picture's facts, or `failed` with `error_kind` and `error`; an `ok` row with an
    error is a picture whose refresh failed.

    Raises StageError when the journal or the blob store cannot be written.
    """
    listed = listed_pictures(catalogue)
    started = time.monotonic()
    with Journal(context.place(layout.DOWNLOAD_JOURNAL)) as journal:
        plan = make_plan(listed["url"], journal, context.blobs, settings)
        traffic = _fetch(plan, journal, settings, context)
        # Large catalogues have many; nothing needs them any more.
        plan.jobs.clear()
        rows = _rows(listed, plan, journal, settings)
    context.cache.add(len(plan.keys), len(plan.keys) - traffic.pictures)
    manifest = conform(rows, RAW_IMAGES)
    return StageResult(
        manifest, summarise(manifest, len(plan.keys), traffic, time.monotonic() - started)
    )


def requests_due(catalogue: pd.DataFrame, settings: DownloadSettings, context: StageContext) -> int:
    """Return how many pictures a run would ask for now: new ones, failures worth another try,
    refreshes.

    Asks for none.
    """
    with Journal(context.place(layout.DOWNLOAD_JOURNAL)) as journal:
        return len(
            make_plan(listed_pictures(catalogue)["url"], journal, context.blobs, settings).jobs
        )


def _fetch(
    plan: Plan, journal: Journal, settings: DownloadSettings, context: StageContext
) -> Traffic:
    store = ImageStore(journal, context.blobs, settings)
    total = len(plan.jobs) + len(plan.stored)
    with (
        context.progress.track("Fetching pictures", total, "picture") as bar,
        _workers() as workers,
    ):
        judge = partial(_judge_stored, store=store, blobs=context.blobs)
        for _ in workers.map(judge, plan.stored.keys(), plan.stored.values()):
            bar.advance()
        if not plan.jobs:
            return Traffic()
        fetcher = Fetcher(settings, _RecordingSink(store, bar), workers)
        return run_in_own_loop(fetcher.run(plan.jobs))


@contextmanager
def _workers() -> Iterator[Executor]:
    # Decoding releases the interpreter, so threads use all cores.
    workers = ThreadPoolExecutor(available_cores(), thread_name_prefix="picture")
    try:
        yield workers
    finally:
        workers.shutdown(cancel_futures=True)


def _judge_stored(key: str, digest: str, store: ImageStore, blobs: BlobStore) -> None:
    try:
        store.keep(key, blobs.get(digest), Validators())
    except StageError:
        sentence = (
            "The stored copy of this file is gone. Run the folder or the workbook again, so "
            "that it is read again."
        )
        store.fail([(key, Failure("not_found", sentence, transient=True))])


def _rows(
    listed: pd.DataFrame, plan: Plan, journal: Journal, settings: DownloadSettings
) -> pd.DataFrame:
    """Return the listed pictures with what became of each, some at a time looked up and typed."""
    columns = [name for name in RAW_IMAGES.schema.names if name not in listed.columns]
    frames = (
        listed.iloc[start : start + _ROWS_AT_ONCE] for start in range(0, len(listed), _ROWS_AT_ONCE)
    )
    return to_frame(
        joined_frames(
            (_with_outcomes(some, columns, plan, journal, settings) for some in frames),
            RAW_IMAGES.schema,
        )
    )


def _with_outcomes(
    listed: pd.DataFrame,
    columns: list[str],
    plan: Plan,
    journal: Journal,
    settings: DownloadSettings,
) -> pd.DataFrame:
    keys = [plan.keys[url] for url in listed["url"]]
    entries = journal.look_up(dict.fromkeys(key for key in keys if key not in plan.settled))
    details = [
        _row(plan.settled[key] if key in plan.settled else outcome(entries[key], settings))
        for key in keys
    ]
    return pd.concat(
        [listed, pd.DataFrame(details, columns=columns, dtype=object, index=listed.index)],
        axis="columns",
    )


def _row(outcome: Outcome) -> tuple[str | int | None, ...]:
    """Return a row's columns from `image_sha256` on."""
    picture, failed = outcome.picture, outcome.failure
    facts: tuple[str | int | None, ...] = (None,) * 5
    if picture:
        facts = (picture.image_sha256, picture.format, picture.width, picture.height, picture.bytes)
    if failed is None:
        return (*facts, OK, None, None, None)
    if picture is None:
        return (*facts, FAILED, failed.kind, failed.sentence, failed.http_status)
    return (
        *facts,
        OK,
        failed.kind,
        f"The picture held is used, because asking for a newer one failed: {failed.sentence}",
        failed.http_status,
    )


def summarise(manifest: pd.DataFrame, distinct: int, traffic: Traffic, seconds: float) -> Facts:
    """Return the facts of a run; `manifest`: RAW_IMAGES, `distinct`: how many different URLs it
    has.
    """
    failed = manifest["image_sha256"].isna()
    asked = traffic.pictures
    facts: dict[str, Fact] = {
        "pictures": len(manifest),
        "distinct_urls": distinct,
        "distinct_images": int(manifest["image_sha256"].nunique()),
        "asked": asked,
        "requests": traffic.requests,
        "megabytes_received": round(traffic.bytes / 1e6, 3),
        "seconds": round(seconds, 3),
        "pictures_per_second": round(asked / seconds, 1) if seconds else 0.0,
        "hosts_set_aside": traffic.hosts_set_aside,
        "failed": int(failed.sum()),
        "failed_share": round(float(failed.mean()), 6) if len(manifest) else 0.0,
        "kept_after_failed_refresh": int((manifest["error_kind"].notna() & ~failed).sum()),
        "main_cause": main_cause(manifest),
        "worst_hosts": worst_hosts(manifest),
    }
    kinds = manifest.loc[failed, "error_kind"].value_counts()
    return facts | {f"failed_{kind}": int(number) for kind, number in sorted(kinds.items())}


def main_cause(manifest: pd.DataFrame) -> str:
    """Return the commonest failure of RAW_IMAGES in words, such as "3 of 4: not_found, mostly on
    shop.vn"; empty without failures.
    """
    failed = _failures(manifest)
    if failed.empty:
        return ""
    kinds = failed["error_kind"].value_counts()
    kind = min(kinds.index, key=lambda name: (-kinds[name], name))
    hosts = failed.loc[failed["error_kind"] == kind, "host"].value_counts()
    host = min(hosts.index, key=lambda name: (-hosts[name], name))
    return f"{kinds[kind]} of {len(failed)}: {kind}, mostly on {host}"


def worst_hosts(manifest: pd.DataFrame) -> str:
    """Return a Markdown table of the hosts with the most failures in RAW_IMAGES; empty without
    failures.
    """
    failed = _failures(manifest)
    if failed.empty:
        return ""
    totals = _hosts(manifest["url"]).value_counts()
    groups = failed.groupby("host")["error_kind"]
    counts = (
        groups.size()
        .reset_index(name="failed")
        .sort_values(["failed", "host"], ascending=[False, True])
    )
    lines = ["| host | failed | pictures | kinds |", "|---|---:|---:|---|"]
    for host, number in counts.head(WORST_HOSTS).itertuples(index=False):
        kinds = groups.get_group(host).value_counts().sort_index()
        named = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
        lines.append(f"| {host} | {number} | {totals[host]} | {named} |")
    return "\n".join(lines)


def _failures(manifest: pd.DataFrame) -> pd.DataFrame:
    failed = manifest[manifest["image_sha256"].isna()]
    return failed.assign(host=_hosts(failed["url"]))


def _hosts(urls: pd.Series) -> pd.Series:
    return urls.map(_host).astype(object)


def _host(url: str) -> str:
    """Return a URL's host and port for a table: no credentials, nothing that breaks the table."""
    try:
        authority = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        authority = ""
    return authority.replace("|", "").replace("`", "")[:100] or "(no host)"
