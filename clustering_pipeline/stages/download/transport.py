"""One request for one URL: bounded in time, size and memory, redirects not followed, every way to
fail named.
"""

import asyncio
import ipaddress
import socket
import urllib.request
import zlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict
from yarl import URL

from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages.download.addresses import (
    AddressGuard,
    BlockedAddressError,
)
from clustering_pipeline.stages.download.answers import (
    Answer,
    Content,
    NotModified,
    Refusal,
    Validators,
    error_refusal,
    failure,
    redirect,
    status_refusal,
    too_large,
    unasked_encoding,
)

LARGE_BYTES = 2_000_000
_LARGE_AT_ONCE = 8
_ZLIB_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
READABLE_ENCODINGS = frozenset({"", "identity", *_ZLIB_WINDOWS})


class LargeBodies:
    """Bounds the memory of answers: only `places` bodies at once may grow beyond `LARGE_BYTES`; the
    others stop reading.
    """

    def __init__(self, places: int = _LARGE_AT_ONCE) -> None:
        self._places = asyncio.Semaphore(places)

    @asynccontextmanager
    async def visit(self) -> AsyncIterator["LargeBodyPass"]:
        """Give a request its pass; the place that it may take is free again when the answer was
        dealt with.
        """
        visitor = LargeBodyPass(self._places)
        try:
            yield visitor
        finally:
            visitor.leave()


class LargeBodyPass:
    """One request's right to a place among the large bodies."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._is_held = False

    async def grow(self, length: int) -> None:
        """Wait for a place once a body of `length` bytes is large."""
        if length > LARGE_BYTES and not self._is_held:
            await self._places.acquire()
            self._is_held = True

    def leave(self) -> None:
        """Give the place back, if one was taken."""
        if self._is_held:
            self._places.release()


async def read_body(
    response: aiohttp.ClientResponse, encoding: str, limit: int, large: LargeBodyPass
) -> bytes | None:
    """Return the decoded body, None when it is over `limit` bytes; raises ClientPayloadError when
    it is damaged.
    """
    decoder = zlib.decompressobj(_ZLIB_WINDOWS[encoding]) if encoding in _ZLIB_WINDOWS else None
    body = bytearray()
    async for chunk in response.content.iter_any():
        try:
            body += decoder.decompress(chunk, limit + 1 - len(body)) if decoder else chunk
        except zlib.error as error:
            raise aiohttp.ClientPayloadError("damaged compression") from error
        if len(body) > limit:
            # Closed rather than read to its end; the connection is not used again.
            response.close()
            return None
        await large.grow(len(body))
    if decoder and not decoder.eof:
        raise aiohttp.ClientPayloadError("incomplete compression")
    return bytes(body)


_REDIRECTS = (301, 302, 303, 307, 308)
_LONGEST_VALIDATOR = 1_000


class Transport:
    """Makes single requests over connections that are kept alive; an asynchronous context
    manager.
    """

    def __init__(self, settings: DownloadSettings, guard: AddressGuard) -> None:
        self._settings = settings
        self._guard = guard
        self._proxies = urllib.request.getproxies() if settings.trust_proxy else {}

    async def __aenter__(self) -> Self:
        self._resolver = GuardedResolver(self._guard)
        self._direct = self._session(
            aiohttp.TCPConnector(resolver=self._resolver, limit=0, ttl_dns_cache=300)
        )
        self._proxied = self._session(aiohttp.TCPConnector(limit=0)) if self._proxies else None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._direct.close()
        if self._proxied:
            await self._proxied.close()
        await self._resolver.close()

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        settings = self._settings
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            requote_redirect_url=False,
            timeout=aiohttp.ClientTimeout(
                total=settings.attempt_seconds,
                sock_connect=settings.connect_seconds,
                sock_read=settings.idle_seconds,
            ),
            headers={
                "User-Agent": settings.user_agent,
                "Accept": "image/jpeg,image/png,image/webp,image/*;q=0.8,*/*;q=0.5",
                "Accept-Encoding": "identity",
            },
        )

    async def request(
        self, url: URL, validators: Validators | None, seconds: float, large: LargeBodyPass
    ) -> Answer:
        """Ask once for `url`, for at most `seconds`; with `validators` only for a newer picture
        than the one held.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._request(self._guard.pin(url), validators, large)
        except BlockedAddressError as error:
            return Refusal(failure("blocked_address", str(error)))
        except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            # TimeoutError is an OSError.
            return error_refusal(error, url)

    async def _request(
        self, url: URL, validators: Validators | None, large: LargeBodyPass
    ) -> Answer:
        session, proxy = self._route(url)
        async with session.get(
            url, allow_redirects=False, headers=_conditions(validators), proxy=proxy
        ) as response:
            if response.status in _REDIRECTS:
                return redirect(url, response)
            if response.status == 304 and validators is not None:
                return NotModified()
            if not 200 <= response.status < 300:
                return status_refusal(url, response)
            return await self._content(url, response, large)

    def _route(self, url: URL) -> tuple[aiohttp.ClientSession, str | None]:
        """Return the session and the proxy for a URL: allowed hosts, and those that NO_PROXY names,
        are reached directly.
        """
        proxy = self._proxies.get(url.scheme)
        host = url.raw_host or ""
        if self._proxied is None or proxy is None or self._guard.allows(host, url.port or 0):
            return self._direct, None
        if urllib.request.proxy_bypass(host):
            return self._direct, None
        return self._proxied, proxy

    async def _content(
        self, url: URL, response: aiohttp.ClientResponse, large: LargeBodyPass
    ) -> Answer:
        limit = self._settings.max_bytes
        if (response.content_length or 0) > limit:
            return too_large(url, response, limit)
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in READABLE_ENCODINGS:
            return unasked_encoding(url, encoding, response.status)
        body = await read_body(response, encoding, limit, large)
        if body is None:
            return too_large(url, response, limit)
        return Content(body, response.status, _validators(response))


def _validators(response: aiohttp.ClientResponse) -> Validators:
    etag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
    return Validators(
        etag if 0 < len(etag) <= _LONGEST_VALIDATOR else None,
        modified if 0 < len(modified) <= _LONGEST_VALIDATOR else None,
    )


def _conditions(validators: Validators | None) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    if validators and validators.etag:
        headers["If-None-Match"] = validators.etag
    if validators and validators.last_modified:
        headers["If-Modified-Since"] = validators.last_modified
    return headers


# The C library's resolver blocks a thread for as long as a dead name server takes to time out.
_LOOKUPS_AT_ONCE = 16


class GuardedResolver(AbstractResolver):
    """Resolves with the system's resolver and hands on only addresses that the guard lets
    through.
    """

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the permitted addresses of `host`; raises BlockedAddressError when there are only
        others, OSError.
        """
        loop = asyncio.get_running_loop()
        answers = await loop.run_in_executor(self._threads, _look_up, host, port, family)
        permitted, refusal = [], None
        for answer in answers:
            try:
                self._guard.check(host, port, ipaddress.ip_address(answer["host"]))
                permitted.append(answer)
            except BlockedAddressError as error:
                refusal = error
        if refusal and not permitted:
            raise refusal
        return permitted

    async def close(self) -> None:
        """Stop taking look-ups; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    answers: list[ResolveResult] = []
    for kind, _, protocol, _, address in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM):
        if kind not in (socket.AF_INET, socket.AF_INET6) or (
            kind == socket.AF_INET6 and len(address) == 4 and address[3]
        ):
            # An address with a zone is link-local.
            continue
        answers.append(
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
        )
    if not answers:
        raise socket.gaierror(socket.EAI_NONAME, "no usable address")
    return answers
