"""One request for one URL: bounded in time and size, redirects not followed, every way to fail named."""

import asyncio
import email.utils
import socket
import ssl
import time
import urllib.request
import zlib
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from clustering_pipeline.download.addresses import AddressGuard, BlockedAddressError, literal_address
from clustering_pipeline.download.failures import Failure, failure, is_retryable_status, status_failure
from clustering_pipeline.download.resolver import GuardedResolver
from clustering_pipeline.download.urls import UrlError, follow
from clustering_pipeline.settings.download import DownloadSettings

_CHUNK = 65_536
_REDIRECTS = (301, 302, 303, 307, 308)
_DECODERS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server gave to ask later whether its picture changed."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """A complete answer below 300: the body, not yet judged."""

    body: bytes
    status: int
    content_type: str
    validators: Validators


@dataclass(frozen=True, slots=True)
class NotModified:
    """The server says that what is held is still right."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """The picture is elsewhere; the new address is not yet checked."""

    url: URL


@dataclass(frozen=True, slots=True)
class Refusal:
    """An attempt that gave no picture.

    `retryable`: a further attempt in this run can help, `retry_after` seconds from now at the earliest. `host_down`: it
    speaks against the host; `answered`: a complete answer below 500 came, which speaks for the host.
    """

    failure: Failure
    retryable: bool = False
    retry_after: float | None = None
    host_down: bool = False
    answered: bool = False


Answer = Content | NotModified | Redirect | Refusal


class Transport:
    """Makes single requests over connections that are kept alive; an asynchronous context manager."""

    def __init__(self, settings: DownloadSettings, guard: AddressGuard) -> None:
        self._settings = settings
        self._guard = guard
        self._proxies = urllib.request.getproxies() if settings.trust_proxy else {}

    async def __aenter__(self) -> Self:
        self._resolver = GuardedResolver(self._guard)
        self._direct = self._session(aiohttp.TCPConnector(resolver=self._resolver, limit=0, ttl_dns_cache=300))
        self._proxied = self._session(aiohttp.TCPConnector(limit=0)) if self._proxies else None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
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
                total=settings.attempt_seconds, sock_connect=settings.connect_seconds, sock_read=settings.idle_seconds
            ),
            headers={
                "User-Agent": settings.user_agent,
                "Accept": "image/jpeg,image/png,image/webp,image/*;q=0.8,*/*;q=0.5",
                "Accept-Encoding": "identity",
            },
        )

    async def request(self, url: URL, validators: Validators | None, seconds: float) -> Answer:
        """Ask once for `url`, for at most `seconds`; with `validators` only for a newer picture than the one held."""
        host = _authority(url)
        try:
            async with asyncio.timeout(seconds):
                return await self._request(self._guard.pin(url), validators)
        except BlockedAddressError as error:
            return Refusal(failure("blocked_address", str(error)))
        except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            # TimeoutError is an OSError.
            return _refusal(error, host, self._settings)

    async def _request(self, url: URL, validators: Validators | None) -> Answer:
        session, proxy = self._route(url)
        async with session.get(url, allow_redirects=False, headers=_conditions(validators), proxy=proxy) as response:
            if response.status in _REDIRECTS:
                return _redirect(url, response)
            if response.status == 304 and validators is not None:
                return NotModified()
            if not 200 <= response.status < 300:
                return _status_refusal(url, response)
            return await self._content(url, response)

    def _route(self, url: URL) -> tuple[aiohttp.ClientSession, str | None]:
        """Return the session and the proxy for a URL: allowed hosts, and those that NO_PROXY names, are reached directly."""
        proxy = self._proxies.get(url.scheme)
        host = url.raw_host or ""
        if self._proxied is None or proxy is None or self._guard.allows(host, url.port or 0):
            return self._direct, None
        if urllib.request.proxy_bypass(host):
            return self._direct, None
        return self._proxied, proxy

    async def _content(self, url: URL, response: aiohttp.ClientResponse) -> Answer:
        limit = self._settings.max_bytes
        if (response.content_length or 0) > limit:
            return _too_large(url, response, limit)
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ("", "identity", *_DECODERS):
            return Refusal(_unasked_encoding(url, encoding, response.status), answered=True)
        body = await _read(response, encoding, limit)
        if body is None:
            return _too_large(url, response, limit)
        validators = Validators(response.headers.get("ETag"), response.headers.get("Last-Modified"))
        return Content(body, response.status, response.content_type, validators)


async def _read(response: aiohttp.ClientResponse, encoding: str, limit: int) -> bytes | None:
    """Return the decoded body, None when it is over `limit` bytes; raises ClientPayloadError when it is damaged."""
    decoder = zlib.decompressobj(_DECODERS[encoding]) if encoding in _DECODERS else None
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
    if decoder and not decoder.eof:
        raise aiohttp.ClientPayloadError("incomplete compression")
    return bytes(body)


def _conditions(validators: Validators | None) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    if validators and validators.etag:
        headers["If-None-Match"] = validators.etag
    if validators and validators.last_modified:
        headers["If-Modified-Since"] = validators.last_modified
    return headers


def _redirect(url: URL, response: aiohttp.ClientResponse) -> Answer:
    location = response.headers.get("Location", "")
    if not location:
        sentence = f"{_authority(url)} redirects (HTTP {response.status}) without saying where to. Correct the URL."
        return Refusal(failure("http_error", sentence, response.status), answered=True)
    try:
        return Redirect(follow(url, location))
    except UrlError as error:
        sentence = f"{_authority(url)} redirects to an address that {error}. Correct the URL."
        return Refusal(failure("invalid_url", sentence, response.status), answered=True)


def _status_refusal(url: URL, response: aiohttp.ClientResponse) -> Refusal:
    status = response.status
    return Refusal(
        status_failure(status, _authority(url)),
        retryable=is_retryable_status(status),
        retry_after=retry_after(response.headers.get("Retry-After"), time.time()),
        host_down=status >= 500,
        answered=status < 500,
    )


def retry_after(header: str | None, now: float) -> float | None:
    """Return the seconds from `now` (Unix time) that a Retry-After header asks to wait, given as seconds or as a date."""
    if not header:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def _too_large(url: URL, response: aiohttp.ClientResponse, limit: int) -> Refusal:
    response.close()
    sentence = (
        f"{_authority(url)} sends more than the {limit / 1e6:g} MB that a picture may have. Use a smaller picture, or raise "
        "download.max_bytes."
    )
    return Refusal(failure("too_large", sentence, response.status), answered=True)


def _unasked_encoding(url: URL, encoding: str, status: int) -> Failure:
    return failure(
        "unsupported_format",
        f"{_authority(url)} sends the picture compressed as {encoding[:20]!r}, unasked; that is not read.",
        status,
    )


def _refusal(error: Exception, host: str, settings: DownloadSettings) -> Refusal:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _name_refusal(error.os_error, host)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError | ssl.CertificateError):
        reason = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
        return Refusal(failure("tls", _tls_sentence(host, reason)), host_down=True)
    if isinstance(error, TimeoutError):
        sentence = f"{host} did not send the whole picture in time. It is asked again at the next run."
        return Refusal(failure("timeout", sentence), retryable=True, host_down=True)
    if isinstance(error, aiohttp.ClientPayloadError | asyncio.IncompleteReadError):
        sentence = f"{host} broke off in the middle of the picture. It is asked again at the next run."
        return Refusal(Failure("truncated", sentence, None, transient=True), retryable=True)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return Refusal(failure("connect", f"The proxy refuses to connect to {host} (HTTP {error.status})."), retryable=True)
    if isinstance(error, aiohttp.ClientResponseError | ValueError):
        return Refusal(failure("http_error", f"{host} does not answer in HTTP that can be read. Open the URL in a browser."))
    sentence = f"No connection to {host}, or it was broken off before an answer. It is asked again at the next run."
    return Refusal(failure("connect", sentence), retryable=True, host_down=True)


def _name_refusal(error: OSError, host: str) -> Refusal:
    if isinstance(error, BlockedAddressError):
        return Refusal(failure("blocked_address", str(error)))
    again = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
    sentence = f"The name {host} has no address. Correct the URL, or check the network; it is asked again at the next run."
    return Refusal(failure("dns", sentence), retryable=again, host_down=True)


def _tls_sentence(host: str, reason: object) -> str:
    detail = getattr(reason, "verify_message", "") or getattr(reason, "reason", "") or "the handshake failed"
    return f"No secure connection to {host}: {detail}. The shop has to mend its certificate; it is asked again at the next run."


def _authority(url: URL) -> str:
    host = url.raw_host or ""
    bracketed = f"[{host}]" if ":" in host and literal_address(host) else host
    return bracketed if url.is_default_port() else f"{bracketed}:{url.port}"
