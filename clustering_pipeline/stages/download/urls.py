"""Addresses as they are asked for: normalised, checked, and followed from redirects."""

import re
from urllib.parse import urljoin

from yarl import URL

MAX_URL_LENGTH = 8_192


_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")


# Names (underscores occur in practice) or, with colons, an IPv6 address without a zone.
_HOST = re.compile(r"(?:[a-z0-9_-]+\.)*[a-z0-9_-]+\.?|[0-9a-f:.]*:[0-9a-f:.]*", re.IGNORECASE)


_PLAIN = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})*")


class UrlError(ValueError):
    """Text that is no http or https URL; the message continues a sentence: "the URL …"."""


def parse_url(text: str) -> URL:
    """Return the http or https URL of `text` without its fragment; raises UrlError.

    The path and query of a URL in plain ASCII stay as they are written, since some hosts sign them;
    others are escaped.
    """
    stripped = text.strip()
    if not stripped:
        raise UrlError("is empty")
    if len(stripped) > MAX_URL_LENGTH:
        raise UrlError(f"is longer than {MAX_URL_LENGTH} characters")
    if _UNPRINTABLE.search(stripped):
        raise UrlError("has a space or a control character in it")
    url = _checked(stripped)
    written = URL(stripped, encoded=True) if _PLAIN.fullmatch(stripped) else url
    return URL.build(
        scheme=url.scheme,
        authority=url.raw_authority,
        path=written.raw_path or "/",
        query_string=written.raw_query_string,
        encoded=True,
    )


def _checked(text: str) -> URL:
    try:
        url = URL(text)
        host, port = url.raw_host, url.port
    except (ValueError, UnicodeError) as error:
        raise UrlError("cannot be read as a web address") from error
    if url.scheme not in ("http", "https"):
        raise UrlError(
            f"begins with {url.scheme}: and only http and https are fetched"
            if url.scheme
            else "has no http or https"
        )
    if not host:
        raise UrlError("names no host")
    if not port:
        raise UrlError("has a port that does not exist")
    if (
        not _HOST.fullmatch(host)
        or len(host) > 253
        or any(len(label) > 63 for label in host.split("."))
    ):
        raise UrlError("names a host that cannot exist")
    return url


def follow(url: URL, location: str) -> URL:
    """Return where a redirect from `url` leads; credentials stay behind. Raises UrlError."""
    try:
        target = urljoin(str(url.with_user(None)), location.strip())
    except ValueError as error:
        raise UrlError("cannot be read as a web address") from error
    return parse_url(target).with_user(None)


def shown(url: URL) -> str:
    """Return what of a URL may be logged: no credentials, no query (it may carry a signature)."""
    return str(url.with_user(None).with_query(None).with_fragment(None))
