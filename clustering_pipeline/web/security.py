"""What a request has to pass before any page sees it, the headers of every answer, and how much the
server takes on at once: connections, which may take so long to say what they want, and work, of
which some waits and the rest is told so.

A page of another site may send requests to a server on loopback, or reach it under a name of its
own (DNS rebinding), so the Host header, the origin of every writing request and a secret in every
form are checked, token or not. Without a limit a thousand connections that send half a request keep
everybody else out.
"""

import asyncio
import getpass
import hmac
import ipaddress
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

import uvicorn
from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from clustering_pipeline.core.errors import InputError, PipelineError
from clustering_pipeline.core.security import is_known_host

TOKEN_COOKIE = "cp_token"
# Where workbooks are sent to.
WORKBOOK_PATH = "/new"
# Seconds between two parts of a body.
LONGEST_SILENCE = 20.0
# Digits of a length that is no length.
LONGEST_LENGTH = 16
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PAGE_POLICY = (
    "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; connect-src "
    "'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_REFUSAL = (
    '<!doctype html><html lang="en"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<title>{0}</title><link rel="stylesheet" href="/static/base.css">'
    '<main class="page"><h1>{0}</h1></main></html>'
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class ServeOptions:
    """Where the server listens and what it lets in.

    Attributes:
        host, port: the address it binds to.
        token: what every request has to bring; only a server on loopback may go without one.
        names: host names under which a browser may reach it, besides numeric addresses and
            localhost.
        author: who signs corrections when the browser names nobody.
        upload_bytes: largest request body.
        workbook_bytes: largest body with a workbook.
        query_pixels: most pixels of a query picture.
        dagster_url: where Dagster's own pages are, None where they are not served.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    names: tuple[str, ...] = ()
    author: str = field(default_factory=getpass.getuser)
    upload_bytes: int = 20_000_000
    workbook_bytes: int = 100_000_000
    query_pixels: int = 40_000_000
    dagster_url: str | None = None

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise InputError(
                f"{self.host} can be reached by other machines, so a token is needed. Give "
                f"--token, or leave --host at 127.0.0.1."
            )
        if self.token is not None and len(self.token) < 16:
            raise InputError("The token is too short to be a secret. Give at least 16 characters.")

    @property
    def is_shared(self) -> bool:
        """Whether other machines may connect."""
        return not is_loopback(self.host)

    def largest_body(self, path: str) -> int:
        """Return how many bytes a request to a path may send."""
        return self.workbook_bytes if path == WORKBOOK_PATH else self.upload_bytes

    @property
    def root(self) -> str:
        """The address of the server, with a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        return self.root + (f"?token={self.token}" if self.token else "")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """Return a fresh secret."""
    return secrets.token_urlsafe(24)


class Gate:
    """ASGI middleware: host, origin, token and size of every request; security headers on every
    answer.
    """

    def __init__(self, app: ASGIApp, options: ServeOptions) -> None:
        self.app = app
        self.options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that is refused; hand on every other."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        answer = _refusal(request, self.options) or _token_answer(request, self.options)
        guarded_send = _with_headers(send)
        if answer is not None:
            await answer(scope, receive, guarded_send)
            return
        body = _LimitedBody(receive, self.options.largest_body(request.url.path))
        await self.app(scope, body.receive, guarded_send)


class _LimitedBody:
    """Cuts a body off at the limit, or when nothing of it comes for a while; its reader then meets
    a client that has gone.
    """

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self._whole = False

    async def receive(self) -> Message:
        try:
            message = await asyncio.wait_for(
                self._receive(), None if self._whole else LONGEST_SILENCE
            )
        except TimeoutError:
            return {"type": "http.disconnect"}
        self._left -= len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message if self._left >= 0 else {"type": "http.disconnect"}


def _refusal(request: Request, options: ServeOptions) -> Response | None:
    if not is_known_host(request.headers.get("host", ""), (options.host, *options.names)):
        return _plain(
            request,
            421,
            "This server is not known by that name. Open it under its numeric address, or start it "
            "with --name.",
        )
    if request.method not in SAFE_METHODS and not _own_origin(request):
        return _plain(
            request,
            403,
            "Another site sent this request. Open the page on this server and try again.",
        )
    length = request.headers.get("content-length", "0")
    most = options.largest_body(request.url.path)
    is_number = length.isascii() and length.isdigit() and len(length) < LONGEST_LENGTH
    if not is_number or int(length) > most:
        return _plain(request, 413, f"The upload is larger than {most // 1_000_000} MB.")
    return None


def _own_origin(request: Request) -> bool:
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host")


def _token_answer(request: Request, options: ServeOptions) -> Response | None:
    """Return the answer to a request without the right token, or the redirect that turns ?token=
    into a cookie.
    """
    if options.token is None:
        return None
    token = request.query_params.get("token")
    if token is not None and request.method == "GET" and _equal(token, options.token):
        answer = RedirectResponse(str(request.url.remove_query_params("token")), 303)
        answer.set_cookie(
            TOKEN_COOKIE,
            options.token,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and _equal(bearer, options.token):
        return None
    if _equal(request.cookies.get(TOKEN_COOKIE, ""), options.token):
        return None
    return _plain(
        request,
        401,
        "A token is needed. Open the address that the server printed when it started.",
        {"www-authenticate": "Bearer"},
    )


def _equal(candidate: str, secret: str) -> bool:
    return hmac.compare_digest(candidate.encode(), secret.encode())


def _plain(
    request: Request, status: int, text: str, headers: dict[str, str] | None = None
) -> Response:
    """Return a refusal: a page to a browser that shows pages, JSON to everybody else."""
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_REFUSAL.format(escape(text)), status, headers)
    return JSONResponse({"error": text}, status, headers)


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            extra = {
                **_HEADERS,
                "content-security-policy": PAGE_POLICY,
                "cache-control": "no-store",
            }
            message["headers"] = [
                *message["headers"],
                *(
                    (name.encode(), value.encode())
                    for name, value in extra.items()
                    if name.encode() not in present
                ),
            ]
        await send(message)

    return guarded


BUSY = "The server is busy with other requests. Try again in a few seconds."


class BusyError(PipelineError):
    """There is no room for more work now; a later request may find some."""


class Turns:
    """Room of a fixed size, of which work takes a share while it lasts."""

    def __init__(self, room: int, most_waiting: int, seconds: float) -> None:
        """`room`: of all work at once, in any unit. `most_waiting`: how many may wait for theirs,
        each for `seconds` at most.
        """
        self._room, self._most_waiting, self._seconds = room, most_waiting, seconds
        self._left, self._waiting = room, 0
        self._changed = threading.Condition()

    @contextmanager
    def take(self, share: int = 1) -> Iterator[None]:
        """Hold `share` of the room, all of it where that is less, while the block runs.

        Raises BusyError when too many wait, or nothing became free in time.
        """
        share = min(share, self._room)
        self._wait_for(share)
        try:
            yield
        finally:
            with self._changed:
                self._left += share
                self._changed.notify_all()

    def _wait_for(self, share: int) -> None:
        with self._changed:
            if self._left < share:
                if self._waiting >= self._most_waiting:
                    raise BusyError(BUSY)
                self._waiting += 1
                try:
                    if not self._changed.wait_for(lambda: self._left >= share, self._seconds):
                        raise BusyError(BUSY)
                finally:
                    self._waiting -= 1
            self._left -= share


# Of the 1,024 files that a process may usually open, some are needed for pictures and databases.
MOST_CONNECTIONS = 500
# Seconds from the first byte, or the beginning of a connection, to the end of a request's head.
HEAD_SECONDS = 10.0
# How long requests under way may go on once the server was told to end. One that sends a little now
# and then would keep it for ever.
ENDING_SECONDS = 5


class LimitedProtocol(H11Protocol):
    """A connection that is closed when the head of a request takes too long, or when newer ones
    need its place while it has said nothing whole.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, in the place of the one that waits longest where all are
        taken.
        """
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            waiting = [
                one
                for one in self.connections
                if isinstance(one, LimitedProtocol) and one._head_timer
            ]
            (min(waiting, key=_deadline) if waiting else self).give_up()
        if not transport.is_closing():
            self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        if self._is_answering():
            self._stop_waiting()
        elif self._head_timer is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def give_up(self) -> None:
        """Close the connection, unless it is answered."""
        self._stop_waiting()
        if not self._is_answering():
            self.connections.discard(self)
            self.transport.abort()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _deadline(connection: LimitedProtocol) -> float:
    return connection._head_timer.when() if connection._head_timer else float("inf")


def server_config(app: ASGIApp, **options: Any) -> uvicorn.Config:
    """Return how uvicorn serves the application, with the limits on connections; `options` are its
    own.
    """
    return uvicorn.Config(
        app,
        http=LimitedProtocol,
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=ENDING_SECONDS,
        **options,
    )
