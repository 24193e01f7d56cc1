"""A bucket on a loopback S3 server, and a gate before it that cuts uploads.

It needs the packages s3fs and moto[server], which the project does not install: `uv run --extra s3
--with 'moto[server]' pytest …`.
"""

import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import fsspec
import pytest


class Gate:
    """Passes connections on to a server; while `cut_after` is set, only so many bytes of each
    request.
    """

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.cut_after: int | None = None
        self.cuts = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "http://{}:{}".format(*self.listener.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.server)
                threading.Thread(target=self._send, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _send(self, client: socket.socket, server: socket.socket) -> None:
        sent = 0
        with suppress(OSError):
            while content := client.recv(1 << 14):
                if self.cut_after is not None and sent + len(content) > self.cut_after:
                    server.sendall(content[: max(self.cut_after - sent, 0)])
                    self.cuts += 1
                    break
                sent += len(content)
                server.sendall(content)
            for side in (client, server):
                side.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _answer(server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while content := server.recv(1 << 14):
                client.sendall(content)


@contextmanager
def loopback_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Gate]]:
    """Give the URL of an empty bucket, which this process and its children reach through the
    gate.
    """
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    gate = Gate(*server.get_host_and_port())
    keys = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": gate.address,
        "AWS_MAX_ATTEMPTS": "2",
    }
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    # What an earlier server of this process held, this one holds too.
    name = f"shop-{uuid.uuid4().hex}"
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(name)
    try:
        yield f"s3://{name}", gate
    finally:
        fsspec.filesystem("s3").clear_instance_cache()
        server.stop()
        gate.listener.close()
