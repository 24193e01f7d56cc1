"""`dagster dev` whose pages answer only under names of this machine, to be run as a module.

Dagster's webserver asks nobody who they are, and does not look under which name it is spoken to: a
page of a stranger could start and delete runs through the browser of whoever opened it.
"""

import os
import sys
from collections.abc import Sequence

from dagster_webserver import app
from dagster_webserver.cli import main as serve
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from clustering_pipeline.core.security import is_known_host
from clustering_pipeline.orchestration.runtime.dagster_internals import run_dagster

# The names besides localhost and numeric addresses, with spaces between.
NAMES_VARIABLE = "CLUSTERING_PIPELINE_UI_NAMES"
_WEBSERVER = "dagster_webserver"


class HostGuard:
    """ASGI middleware that refuses requests and WebSockets under a name that is not ours."""

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 400."""
        if scope["type"] not in ("http", "websocket") or is_known_host(
            HTTPConnection(scope).headers.get("host", ""), self.names
        ):
            await self.app(scope, receive, send)
            return
        refusal = PlainTextResponse(
            "This name is not one of this server. Open it as localhost or by its address.", 400
        )
        await refusal(scope, receive, send)


class GuardedWebserver(DagsterWebserver):  # type: ignore[type-arg]
    """Dagster's webserver behind the guard."""

    def build_middleware(self) -> list[Middleware]:
        """Return Dagster's own middleware, and the guard before it."""
        names = os.environ.get(NAMES_VARIABLE, "").split()
        return [Middleware(HostGuard, names=names), *super().build_middleware()]


if __name__ == "__main__":
    if sys.argv[1:2] == [_WEBSERVER]:
        app.DagsterWebserver = GuardedWebserver  # type: ignore[attr-defined]
        sys.argv[:2] = [_WEBSERVER]
        serve()  # type: ignore[no-untyped-call]
    else:
        run_dagster([sys.executable, "-m", __spec__.name, _WEBSERVER])
