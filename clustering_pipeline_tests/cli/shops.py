"""A small catalogue on loopback whose server can be told to stop half-way."""

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

QUICK = ("--set", "matches.text=false", "--set", "compute.workers=1")


class GatedShop:
    """Serves a folder; after `limit` answers every further request waits until the gate is
    opened.
    """

    def __init__(self, folder: Path, limit: int = 10**9) -> None:
        self.requests: Counter[str] = Counter()
        self.limit = limit
        self.gate = threading.Event()
        self.is_waiting = threading.Event()
        self.answered = 0
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(_Handler, directory=str(folder), shop=self)
        )
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = f"http://{self.host}"

    def admit(self, path: str) -> None:
        with self.lock:
            self.requests[path] += 1
            waits = self.answered >= self.limit and not self.gate.is_set()
            self.answered += not waits
        if waits:
            self.is_waiting.set()
            self.gate.wait(120)


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, shop: GatedShop, **kwargs: Any) -> None:
        self.shop = shop
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        self.shop.admit(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def open_shop(folder: Path, limit: int = 10**9) -> Iterator[GatedShop]:
    shop = GatedShop(folder, limit)
    threading.Thread(target=shop.server.serve_forever, daemon=True).start()
    try:
        yield shop
    finally:
        shop.gate.set()
        shop.server.shutdown()
        shop.server.server_close()


def start_command(home: Path, arguments: Sequence[object], cwd: Path) -> subprocess.Popen[str]:
    """Start the command line as a process of its own."""
    command = [
        sys.executable,
        "-c",
        "from clustering_pipeline.cli import main; main()",
        *map(str, arguments),
    ]
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=cwd
    )
