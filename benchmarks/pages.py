"""Pages served on loopback while something is measured, tested or drawn."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from clustering_pipeline.project import Project
from clustering_pipeline.web import ServeOptions, create_app, server_config


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free loopback port while the block runs and give its address."""
    server = uvicorn.Server(server_config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield "http://{}:{}".format(*server.servers[0].sockets[0].getsockname())
    server.should_exit = True
    thread.join()


@contextmanager
def served(project: Project, author: str = "benchmark") -> Iterator[str]:
    """Serve the pages of an installation while the block runs and give their address."""
    with listening(create_app(project, ServeOptions(author=author))) as address:
        yield address
