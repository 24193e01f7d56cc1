import asyncio
import hashlib
import signal
import threading
from pathlib import Path

import pandas as pd
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.manifests import RAW_IMAGES, content_version
from clustering_pipeline.stages import download
from clustering_pipeline.stages.download import requests_due
from clustering_pipeline.storage import BlobStore
from clustering_pipeline_tests.stages.cache import asked
from clustering_pipeline_tests.stages.download.conftest import catalogue, picture
from clustering_pipeline_tests.stages.download.server import in_turn, reply, silence


def kinds(result):
    return [None if pd.isna(value) else value for value in result.manifest["error_kind"]]


def test_a_picture_is_stored_as_it_came(server, context, settings):
    body = picture()
    result = download.run(
        catalogue=catalogue([server.serve("/a.jpg", reply(200, body))]),
        settings=settings,
        context=context,
    )
    row = result.manifest.iloc[0]
    assert row["status"] == "ok"
    assert row["image_sha256"] == hashlib.sha256(body).hexdigest()
    assert (row["format"], row["width"], row["height"], row["bytes"]) == ("JPEG", 40, 30, len(body))
    assert context.blobs.get(row["image_sha256"]) == body


def test_listings_that_share_a_url_cost_one_request(server, context, settings):
    url = server.serve("/a.jpg", reply(200, picture()))
    result = download.run(
        catalogue=catalogue([url, url, [url, url + "#part"]]), settings=settings, context=context
    )
    assert server.counts() == {"/a.jpg": 1}
    assert result.manifest[["listing", "position"]].to_numpy().tolist() == [
        [0, 0],
        [1, 0],
        [2, 0],
        [2, 1],
    ]
    assert (result.manifest["status"] == "ok").all()


def test_a_second_run_asks_for_nothing_held(server, context, settings):
    table = catalogue([server.serve(f"/{n}.jpg", reply(200, picture(n))) for n in range(5)])
    first = download.run(catalogue=table, settings=settings, context=context)
    assert asked(context) == (0, 5)
    assert requests_due(table, settings, context) == 0
    second = download.run(catalogue=table, settings=settings, context=context)
    assert len(server.requests) == 5
    assert asked(context) == (5, 0)
    assert content_version(first.manifest, RAW_IMAGES) == content_version(
        second.manifest, RAW_IMAGES
    )


def test_a_failure_harms_its_own_rows_only(server, context, settings):
    good = server.serve("/good.jpg", reply(200, picture()))
    page = server.serve("/page.jpg", reply(200, b"<html>sorry</html>", "text/html"))
    result = download.run(
        catalogue=catalogue([good, server.url("/missing.jpg"), page, "nonsense", ""]),
        settings=settings,
        context=context,
    )
    assert kinds(result) == [None, "not_found", "not_an_image", "invalid_url", "invalid_url"]
    assert result.manifest["error"].iloc[1:].str.len().min() > 20
    assert result.facts["failed"] == 4


def test_unusable_listings_and_those_without_pictures_have_no_row(server, context, settings):
    table = catalogue([server.url("/a.jpg"), []])
    table["usable"] = [False, True]
    result = download.run(catalogue=table, settings=settings, context=context)
    assert len(result.manifest) == 0
    assert server.requests == []


def test_transient_failures_are_asked_again_and_settled_ones_are_not(server, context, settings):
    busy = server.serve("/busy.jpg", reply(503))
    table = catalogue([busy, server.url("/missing.jpg")])
    assert kinds(download.run(catalogue=table, settings=settings, context=context)) == [
        "server_error",
        "not_found",
    ]
    server.serve("/busy.jpg", reply(200, picture()))
    assert requests_due(table, settings, context) == 1
    assert kinds(download.run(catalogue=table, settings=settings, context=context)) == [
        None,
        "not_found",
    ]
    assert server.counts()["/missing.jpg"] == 1


def test_blocked_rows_are_asked_when_the_allowed_hosts_change(server, context, settings):
    table = catalogue([server.serve("/a.jpg", reply(200, picture()))])
    guarded = settings.model_copy(update={"allow_hosts": ()})
    assert kinds(download.run(catalogue=table, settings=guarded, context=context)) == [
        "blocked_address"
    ]
    assert requests_due(table, guarded, context) == 0
    assert kinds(download.run(catalogue=table, settings=settings, context=context)) == [None]
    assert len(server.requests) == 1


def test_pictures_whose_blobs_are_gone_are_fetched_again(server, context, settings, tmp_path):
    table = catalogue([server.serve("/a.jpg", reply(200, picture()))])
    digest = download.run(catalogue=table, settings=settings, context=context).manifest[
        "image_sha256"
    ][0]
    context.blobs.files.remove(BlobStore.path_of(digest))
    download.run(catalogue=table, settings=settings, context=context)
    assert context.blobs.has(digest)
    assert len(server.requests) == 2


def test_held_pictures_are_judged_anew_under_other_limits_without_a_request(
    server, context, settings
):
    table = catalogue([server.serve("/a.jpg", reply(200, picture(size=(40, 30))))])
    download.run(catalogue=table, settings=settings, context=context)
    strict = settings.model_copy(update={"min_side": 35})
    assert kinds(download.run(catalogue=table, settings=strict, context=context)) == ["too_small"]
    assert kinds(download.run(catalogue=table, settings=settings, context=context)) == [None]
    assert len(server.requests) == 1


def test_pictures_from_a_folder_are_judged_like_others(context, settings):
    digests = [context.blobs.put(content) for content in (picture(), b"%PDF-1.4")]
    urls = [f"file:{n}.jpg#sha256={digest}" for n, digest in enumerate(digests)]
    table = catalogue([*urls, f"file:gone.jpg#sha256={'0' * 64}", "file:other.jpg"])
    result = download.run(catalogue=table, settings=settings, context=context)
    assert kinds(result) == [None, "not_an_image", "not_found", "invalid_url"]
    assert result.manifest["image_sha256"][0] == digests[0]
    assert kinds(download.run(catalogue=table, settings=settings, context=context)) == kinds(result)


def test_a_picture_from_a_folder_that_is_stored_again_counts_again(context, settings):
    digest = context.blobs.put(picture())
    table = catalogue([f"file:a.jpg#sha256={digest}"])
    assert kinds(download.run(catalogue=table, settings=settings, context=context)) == [None]
    context.blobs.files.remove(BlobStore.path_of(digest))
    gone = download.run(catalogue=table, settings=settings, context=context)
    assert kinds(gone) == ["not_found"]
    assert gone.manifest["status"].tolist() == ["failed"]
    context.blobs.put(picture())
    assert kinds(download.run(catalogue=table, settings=settings, context=context)) == [None]


def test_it_works_inside_a_running_event_loop(server, context, settings):
    table = catalogue([server.serve("/a.jpg", reply(200, picture()))])

    async def caller():
        return download.run(catalogue=table, settings=settings, context=context)

    assert kinds(asyncio.run(caller())) == [None]


@pytest.fixture
def heeds_ctrl_c():
    # A shell lets what it starts in the background ignore interruptions.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_keeps_what_was_done(server, context, settings):
    urls = [server.serve(f"/{n}.jpg", reply(200, picture(n))) for n in range(30)]

    async def interrupts(request, writer):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        await silence(request, writer)

    urls[10] = server.serve("/stop.jpg", interrupts)
    hanging = settings.model_copy(
        update={"concurrency": 2, "idle_seconds": 30, "attempt_seconds": 30, "deadline_seconds": 60}
    )
    with pytest.raises(KeyboardInterrupt):
        download.run(catalogue=catalogue(urls), settings=hanging, context=context)
    asked_before = set(server.counts())
    server.serve("/stop.jpg", reply(200, picture(10)))
    assert kinds(download.run(catalogue=catalogue(urls), settings=settings, context=context)) == [
        None
    ] * len(urls)
    asked_twice = [path for path, number in server.counts().items() if number > 1]
    assert len(asked_before) > 5
    assert len(asked_twice) <= hanging.concurrency


def test_a_store_that_cannot_be_written_stops_the_stage(server, context, settings, monkeypatch):
    def full(path, content, **how):
        raise StageError("No space is left")

    monkeypatch.setattr(context.blobs.files, "write", full)
    with pytest.raises(StageError, match="No space"):
        download.run(
            catalogue=catalogue([server.serve("/a.jpg", reply(200, picture()))]),
            settings=settings,
            context=context,
        )


def test_a_journal_that_is_no_database_is_set_aside_and_made_anew(
    server, context, settings, caplog
):
    context.state.mkdir()
    (context.state / "download.sqlite").write_bytes(
        b"not a database, but long enough to be looked at" * 50
    )
    table = catalogue([server.serve("/a.jpg", reply(200, picture()))])
    result = download.run(catalogue=table, settings=settings, context=context)
    assert result.manifest["status"].tolist() == ["ok"]
    assert "download.sqlite is damaged" in caplog.text


@pytest.mark.parametrize("content", [b"", b"half of it"])
def test_a_picture_that_is_no_longer_whole_is_fetched_again(server, context, settings, content):
    table = catalogue([server.serve("/a.jpg", reply(200, picture()))])
    first = download.run(catalogue=table, settings=settings, context=context).manifest
    digest = first["image_sha256"][0]
    path = Path(context.blobs.files.location(context.blobs.path_of(digest)))
    path.write_bytes(content)
    assert download.requests_due(table, settings, context) == 1
    again = download.run(catalogue=table, settings=settings, context=context).manifest
    pd.testing.assert_frame_equal(again, first)
    assert context.blobs.get(digest) == picture()


def test_a_refresh_that_fails_keeps_the_picture_and_says_so(server, context, settings):
    table = catalogue([server.serve("/a.jpg", in_turn(reply(200, picture()), reply(404)))])
    digest = download.run(catalogue=table, settings=settings, context=context).manifest[
        "image_sha256"
    ][0]
    row = download.run(
        catalogue=table, settings=settings.model_copy(update={"refresh": "always"}), context=context
    ).manifest.iloc[0]
    assert (row["status"], row["image_sha256"], row["error_kind"], row["http_status"]) == (
        "ok",
        digest,
        "not_found",
        404,
    )
    assert "held" in row["error"]


def test_a_refresh_asks_only_for_what_changed(server, context, settings):
    always = settings.model_copy(update={"refresh": "always"})
    first = reply(200, picture(), ETag='"one"', Last_Modified="Tue, 01 Jul 2025 10:00:00 GMT")
    table = catalogue([server.serve("/a.jpg", in_turn(first, reply(304), reply(200, picture(1))))])
    digests = [
        download.run(catalogue=table, settings=always, context=context).manifest["image_sha256"][0]
        for _ in range(3)
    ]
    assert digests[0] == digests[1] != digests[2]
    assert server.requests[0].headers.get("If-None-Match") is None
    assert server.requests[1].headers["If-None-Match"] == '"one"'
    assert server.requests[1].headers["If-Modified-Since"] == "Tue, 01 Jul 2025 10:00:00 GMT"


@pytest.mark.parametrize(("days", "requests"), [(1.0, 1), (0.0, 2)])
def test_pictures_are_refreshed_by_their_age(server, context, settings, days, requests):
    policy = settings.model_copy(update={"refresh": "if_older_than", "refresh_after_days": days})
    table = catalogue([server.serve("/a.jpg", reply(200, picture()))])
    for _ in range(2):
        download.run(catalogue=table, settings=policy, context=context)
    assert len(server.requests) == requests
