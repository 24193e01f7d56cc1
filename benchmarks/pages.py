"""The pages of an installation, served on loopback while something is measured."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from clustering_pipeline.project import Project
from clustering_pipeline.web import ServeOptions, create_app


@contextmanager
def served(project: Project) -> Iterator[str]:
    """Serve the pages on a free port while the block runs and give their address."""
    app = create_app(project, ServeOptions(author="benchmark"))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield "http://{}:{}".format(*server.servers[0].sockets[0].getsockname())
    server.should_exit = True
    thread.join()
