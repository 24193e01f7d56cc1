"""What came back for a request: a picture, a redirect, or a refusal; the kinds of failure, and
all of them in the words of a person.
"""

import asyncio
import email.utils
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from yarl import URL

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.stages.download.addresses import (
    BlockedAddressError,
    UrlError,
    follow,
    literal_address,
)

if TYPE_CHECKING:
    import aiohttp

FailureKind = Literal[
    "invalid_url",
    "blocked_address",
    "dns",
    "connect",
    "tls",
    "timeout",
    "not_found",
    "forbidden",
    "rate_limited",
    "server_error",
    "http_error",
    "too_many_redirects",
    "too_large",
    "not_an_image",
    "truncated",
    "bomb",
    "too_small",
    "unsupported_format",
]
FAILURE_KINDS: Final[tuple[FailureKind, ...]] = get_args(FailureKind)
# What may be different an hour later, and is asked again at the next run.
TRANSIENT_KINDS: Final = frozenset(
    {"dns", "connect", "tls", "timeout", "rate_limited", "server_error"}
)
_STATUS_KINDS: Final[dict[int, FailureKind]] = {
    401: "forbidden",
    403: "forbidden",
    404: "not_found",
    407: "forbidden",
    408: "timeout",
    410: "not_found",
    429: "rate_limited",
    451: "forbidden",
}
_STATUS_SENTENCES: Final[dict[FailureKind, str]] = {
    "not_found": "{host} has no picture at this address (HTTP {status}). Correct the URL, or "
    "remove the listing.",
    "forbidden": "{host} refuses this picture (HTTP {status}). Open the URL in a browser: it may "
    "need a login or a signed link.",
    "timeout": "{host} gave up waiting for the request (HTTP {status}). It is asked again at the "
    "next run.",
    "rate_limited": "{host} asks for fewer requests (HTTP {status}). It is asked again at the next "
    "run; lower download.per_host_concurrency or set download.requests_per_second_per_host.",
    "server_error": "{host} has a fault of its own (HTTP {status}). It is asked again at the next "
    "run.",
    "http_error": "{host} answers with HTTP {status} instead of a picture. Open the URL in a "
    "browser to see why.",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One picture's failure; `transient` ones are asked again at the next run, the others by the
    refresh policy.
    """

    kind: FailureKind
    sentence: str
    http_status: int | None = None
    transient: bool = False


class FetchError(InputError):
    """A picture asked for on its own could not be downloaded; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.sentence)
        self.failure = failure


def failure(kind: FailureKind, sentence: str, http_status: int | None = None) -> Failure:
    """Return a failure that is transient exactly if its kind is."""
    return Failure(kind, sentence, http_status, kind in TRANSIENT_KINDS)


def status_failure(status: int, host: str) -> Failure:
    """Return the failure that an HTTP status other than a picture, a redirect or 304 stands for.

    Example:
        >>> status_failure(404, "cdn.shop.vn").kind
        'not_found'
    """
    kind = "server_error" if status >= 500 else _STATUS_KINDS.get(status, "http_error")
    sentence = _STATUS_SENTENCES[kind].format(host=host, status=status)
    return Failure(kind, sentence, status, kind in TRANSIENT_KINDS or status == 425)


def is_retryable_status(status: int) -> bool:
    """Whether a further attempt in the same run can help: 408, 425, 429 and 5xx."""
    return status in (408, 425, 429) or status >= 500


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

    `retryable`: a further attempt in this run can help, `retry_after` seconds from now at the
    earliest. `host_down`: it speaks against the host; `answered`: a complete answer below 500 came,
    which speaks for the host.
    """

    failure: Failure
    retryable: bool = False
    retry_after: float | None = None
    host_down: bool = False
    answered: bool = False


Answer = Content | NotModified | Redirect | Refusal


def redirect(url: URL, response: "aiohttp.ClientResponse") -> Answer:
    """Return where an answer sends us, or the refusal of a redirect that leads nowhere."""
    location = response.headers.get("Location", "")
    if not location:
        sentence = (
            f"{authority(url)} redirects (HTTP {response.status}) without saying where to. "
            f"Correct the URL."
        )
        return Refusal(failure("http_error", sentence, response.status), answered=True)
    try:
        return Redirect(follow(url, location))
    except UrlError as error:
        sentence = f"{authority(url)} redirects to an address that {error}. Correct the URL."
        return Refusal(failure("invalid_url", sentence, response.status), answered=True)


def status_refusal(url: URL, response: "aiohttp.ClientResponse") -> Refusal:
    """Return the refusal of an answer whose status says that there is no picture."""
    status = response.status
    return Refusal(
        status_failure(status, authority(url)),
        retryable=is_retryable_status(status),
        retry_after=retry_after(response.headers.get("Retry-After"), time.time()),
        host_down=status >= 500,
        answered=status < 500,
    )


def retry_after(header: str | None, now: float) -> float | None:
    """Return the seconds from `now` (Unix time) that a Retry-After header asks to wait, given as
    seconds or as a date.
    """
    if not header:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def too_large(url: URL, response: "aiohttp.ClientResponse", limit: int) -> Refusal:
    """Return the refusal of a body over `limit` bytes; the rest of it is not read."""
    response.close()
    sentence = (
        f"{authority(url)} sends more than the {limit / 1e6:g} MB that a picture may have. Use a "
        "smaller picture, or raise download.max_bytes."
    )
    return Refusal(failure("too_large", sentence, response.status), answered=True)


def unasked_encoding(url: URL, encoding: str, status: int) -> Refusal:
    """Return the refusal of a body in a content encoding that was not asked for and is not read."""
    sentence = (
        f"{authority(url)} sends the picture compressed as {encoding[:20]!r}, unasked; that "
        f"is not read."
    )
    return Refusal(failure("unsupported_format", sentence, status), answered=True)


def error_refusal(error: Exception, url: URL) -> Refusal:
    """Return what an error of aiohttp, of the system or of a time limit means for the picture at
    `url`.
    """
    import aiohttp

    host = authority(url)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _name_refusal(error.os_error, host)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError | ssl.CertificateError):
        reason = (
            getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
        )
        return Refusal(failure("tls", _tls_sentence(host, reason)), host_down=True)
    if isinstance(error, TimeoutError):
        sentence = (
            f"{host} did not send the whole picture in time. It is asked again at the next run."
        )
        return Refusal(failure("timeout", sentence), retryable=True, host_down=True)
    if isinstance(error, aiohttp.ClientPayloadError | asyncio.IncompleteReadError):
        sentence = (
            f"{host} broke off in the middle of the picture. It is asked again at the next run."
        )
        return Refusal(Failure("truncated", sentence, None, transient=True), retryable=True)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return Refusal(
            failure("connect", f"The proxy refuses to connect to {host} (HTTP {error.status})."),
            retryable=True,
        )
    if isinstance(error, aiohttp.ClientResponseError | ValueError):
        return Refusal(
            failure(
                "http_error",
                f"{host} does not answer in HTTP that can be read. Open the URL in a browser.",
            )
        )
    sentence = (
        f"No connection to {host}, or it was broken off before an answer. It is asked again "
        f"at the next run."
    )
    return Refusal(failure("connect", sentence), retryable=True, host_down=True)


def _name_refusal(error: OSError, host: str) -> Refusal:
    if isinstance(error, BlockedAddressError):
        return Refusal(failure("blocked_address", str(error)))
    again = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
    sentence = (
        f"The name {host} has no address. Correct the URL, or check the network; it is "
        f"asked again at the next run."
    )
    return Refusal(failure("dns", sentence), retryable=again, host_down=True)


def _tls_sentence(host: str, reason: object) -> str:
    detail = (
        getattr(reason, "verify_message", "")
        or getattr(reason, "reason", "")
        or "the handshake failed"
    )
    return (
        f"No secure connection to {host}: {detail}. The shop has to mend its certificate; it is "
        f"asked again at the next run."
    )


def authority(url: URL) -> str:
    """Return the host, and the port unless it is the scheme's own, as a URL writes them."""
    host = url.raw_host or ""
    bracketed = f"[{host}]" if ":" in host and literal_address(host) else host
    return bracketed if url.is_default_port() else f"{bracketed}:{url.port}"
