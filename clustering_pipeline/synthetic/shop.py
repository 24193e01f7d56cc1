"""A loopback web server for pictures that never left this machine."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class LoopbackShop:
    """Serves a folder on a free loopback port and counts the requests for each path."""

    def __init__(self, folder: Path) -> None:
        """`folder`: what is served; it may be filled after the start."""
        self.requests: Counter[str] = Counter()
        handler = partial(_CountingHandler, directory=str(folder), requests=self.requests)
        self._server = _Server(("127.0.0.1", 0), handler)

    @property
    def host(self) -> str:
        """HOST:PORT, as `--allow-host` wants it."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The address of the folder, without a trailing slash."""
        return f"http://{self.host}"

    def start(self) -> None:
        """Answer requests from a thread of its own."""
        threading.Thread(
            target=self._server.serve_forever, name="loopback-shop", daemon=True
        ).start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serve_folder(folder: Path) -> Iterator[LoopbackShop]:
    """Serve `folder` on a free loopback port for as long as the context lasts."""
    shop = LoopbackShop(folder)
    shop.start()
    try:
        yield shop
    finally:
        shop.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A downloader opens many connections at once; the default backlog of five would refuse some.
    request_queue_size = 256


class _CountingHandler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, requests: Counter[str], **kwargs: Any) -> None:
        self._requests = requests
        super().__init__(*args, **kwargs)

    def send_head(self) -> Any:
        self._requests[self.path] += 1
        return super().send_head()

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal belongs to the progress bars."""
