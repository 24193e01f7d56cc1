"""Pulling a single file from a server that breaks off, resumes, or sends something else."""

import hashlib
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.progress import SilentProgress
from clustering_pipeline.models import ModelCard, pull_model
from clustering_pipeline.models import folder as module

CONTENT = bytes(range(256)) * 64
DIGEST = hashlib.sha256(CONTENT).hexdigest()[:8]


class FileServer(BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; `breaks` answers end half-way."""

    def __init__(self, *arguments, log, breaks):
        self.log, self.breaks = log, breaks
        super().__init__(*arguments)

    def do_GET(self):
        asked = self.headers.get("Range")
        self.log.append(asked)
        start = int(asked[6:-1]) if asked else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        whole = len(self.log) > self.breaks
        self.wfile.write(CONTENT[start:] if whole else CONTENT[start : (start + len(CONTENT)) // 2])

    def log_message(self, *arguments):
        """Keep the test's output clean."""


@pytest.fixture
def serve(monkeypatch):
    started = []

    def start(breaks=0, digest=DIGEST):
        log = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(FileServer, log=log, breaks=breaks))
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        started.append(server)
        card = ModelCard(
            "small", f"http://127.0.0.1:{server.server_port}/small.pth", "encoder", 1, "MIT", digest
        )
        monkeypatch.setattr(ModelCard, "is_single_file", True)
        monkeypatch.setattr(module, "find_card", lambda name: card)
        return log

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def pulled(folder):
    return (pull_model("small", folder, SilentProgress()) / "small.pth").read_bytes()


def test_a_pull_that_broke_off_keeps_what_came_and_goes_on_from_there(tmp_path, serve):
    log = serve(breaks=1)
    with pytest.raises(StageError, match=r"ended after 8,192 of 16,384 bytes.*goes on from there"):
        pulled(tmp_path)
    assert not (tmp_path / "small" / "small.pth").exists()
    assert pulled(tmp_path) == CONTENT
    assert log == [None, "bytes=8192-"]


def test_what_is_held_is_not_asked_for(tmp_path, serve):
    log = serve()
    assert pulled(tmp_path) == pulled(tmp_path) == CONTENT
    assert len(log) == 1


def test_a_pull_that_died_before_its_renaming_is_made_good(tmp_path, serve):
    log = serve()
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "small.pth.partial").write_bytes(CONTENT)
    assert pulled(tmp_path) == CONTENT
    assert log == [f"bytes={len(CONTENT)}-", None]


def test_another_file_than_the_published_one_is_removed(tmp_path, serve):
    serve(digest="00000000")
    with pytest.raises(StageError, match="not the published file"):
        pulled(tmp_path)
    assert list((tmp_path / "small").iterdir()) == []
