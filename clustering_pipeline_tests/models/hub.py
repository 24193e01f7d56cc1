"""A model hub on loopback that answers as the Hugging Face hub does: the list of a repository at a
commit, its files with ETags, large ones by a redirect to a store that knows ranges, gated
repositories and tokens.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_accepted"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# What the hub stores outside of git, and therefore lists with its sha256.
LARGE = (".safetensors", ".bin", ".h5", ".msgpack", ".onnx", ".pt", ".pth")


@dataclass
class Repository:
    """The files of a repository at its one commit; a gated one gives them to `TOKEN` alone."""

    files: dict[str, bytes]
    commit: str = COMMIT
    gated: bool = False


@dataclass
class Hub:
    """The repositories by name, what was asked for, and how the hub misbehaves.

    `breaks` large files end half-way; `corrupt` swaps the first byte of large files.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    breaks: int = 0
    corrupt: bool = False
    address: str = ""

    def fetched(self) -> set[str]:
        """The names of the files whose content was asked for."""
        return {
            path.rpartition("/")[2]
            for method, path, _ in self.asked
            if method == "GET" and not path.startswith("/api/")
        }


class Handler(BaseHTTPRequestHandler):
    """Answers for one `Hub`."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments, hub: Hub):
        self.hub = hub
        super().__init__(*arguments)

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        if path.startswith("/api/models/"):
            self._tell(path.removeprefix("/api/models/"))
        elif path.startswith("/store/"):
            self._store(path.removeprefix("/store/"))
        elif path.startswith("/files/"):
            self._single(path.removeprefix("/files/"))
        else:
            self._resolve(path)

    def _tell(self, path):
        owner, name, *rest = path.split("/")
        repository = self._known(f"{owner}/{name}")
        if repository is None:
            return
        if rest and not self._known_revision(repository, rest[1]):
            return
        tree = rest and rest[0] == "tree"
        listed = [
            _in_tree(file, data) if tree else _sibling(file, data)
            for file, data in repository.files.items()
        ]
        about = {"id": f"{owner}/{name}", "sha": repository.commit, "private": False}
        self._json(
            200, listed if tree else {**about, "gated": repository.gated, "siblings": listed}
        )

    def _resolve(self, path):
        name, _, rest = path.strip("/").partition("/resolve/")
        repository = self._known(name)
        if repository is None:
            return
        revision, _, file = rest.partition("/")
        if not self._known_revision(repository, revision):
            return
        if repository.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "GatedRepo", f"Access to model {name} is restricted.")
            return
        if file not in repository.files:
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        data = repository.files[file]
        headers = {"X-Repo-Commit": repository.commit, "Accept-Ranges": "bytes"}
        if not file.endswith(LARGE):
            self._content(data, {**headers, "ETag": f'"{_blob(data)}"'})
            return
        digest = hashlib.sha256(data).hexdigest()
        linked = {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{digest}"'}
        # Another host than the hub's own, which a client must not send its token to.
        store = self.hub.address.replace("127.0.0.1", "localhost")
        place = f"{store}/store/{name}/{file}"
        self._send(302, b"", {**headers, **linked, "Location": place})

    def _store(self, path):
        assert "Authorization" not in self.headers, "a token was sent to another host"
        owner, name, file = path.split("/", 2)
        data = self.hub.repositories[f"{owner}/{name}"].files[file]
        self._large(data)

    def _single(self, file):
        self._large(self.hub.repositories["files"].files[file])

    def _large(self, data):
        if self.hub.corrupt:
            data = bytes([data[0] ^ 1]) + data[1:]
        self._content(data, {"ETag": f'"{hashlib.sha256(data).hexdigest()}"'})

    def _content(self, data, headers):
        asked = self.headers.get("Range")
        start = int(asked[6:].split("-")[0]) if asked else 0
        if asked and start >= len(data):
            self._send(416, b"", {})
            return
        if asked:
            headers = {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        self._send(206 if asked else 200, data[start:], headers)

    def _send(self, status, data, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        breaks = self.hub.breaks > 0 and "/store/" in self.path and self.command == "GET"
        if breaks:
            self.hub.breaks -= 1
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[: len(data) // 2] if breaks else data)
        self.close_connection = self.close_connection or breaks

    def _json(self, status, content, headers=None):
        self._send(
            status,
            json.dumps(content).encode(),
            {"Content-Type": "application/json", **(headers or {})},
        )

    def _known(self, name):
        if name not in self.hub.repositories:
            self._refuse(404, "RepoNotFound", "Repository not found")
            return None
        return self.hub.repositories[name]

    def _known_revision(self, repository, revision):
        if revision in ("main", repository.commit):
            return True
        self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return False

    def _refuse(self, status, code, message):
        self._json(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

    def log_message(self, *arguments):
        """Keep the test's output clean."""


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _sibling(name: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": _blob(data)}
    if name.endswith(LARGE):
        sha256 = hashlib.sha256(data).hexdigest()
        entry["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
    return entry


def _in_tree(name: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {
        "type": "file",
        "path": name,
        "size": len(data),
        "oid": _blob(data),
    }
    if name.endswith(LARGE):
        oid = hashlib.sha256(data).hexdigest()
        entry["lfs"] = {"oid": oid, "size": len(data), "pointerSize": 134}
    return entry


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve a hub on a free port of loopback; its address is set."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, hub=hub))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    ).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
