"""Addresses as they are asked for: normalised, checked, followed from redirects; and which of
them may be reached: public ones, and the hosts that the user allows by name.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urljoin

from yarl import URL

MAX_URL_LENGTH = 8_192
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
# Names (underscores occur in practice) or, with colons, an IPv6 address without a zone.
_HOST = re.compile(r"(?:[a-z0-9_-]+\.)*[a-z0-9_-]+\.?|[0-9a-f:.]*:[0-9a-f:.]*", re.IGNORECASE)
_PLAIN = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})*")
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
# Azure's and Oracle's metadata services have addresses that count as public.
_METADATA_ADDRESSES = frozenset(
    {ipaddress.ip_address("168.63.129.16"), ipaddress.ip_address("192.0.0.192")}
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")
# inet_aton's spellings of IPv4: 127.1, 0x7f.1, 017700000001, 2130706433.
_LEGACY_IPV4 = re.compile(
    r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE
)


class UrlError(ValueError):
    """Text that is no http or https URL; the message continues a sentence: "the URL …"."""


def parse_url(text: str) -> URL:
    """Return the http or https URL of `text` without its fragment; raises UrlError.

    The path and query of a URL in plain ASCII stay as they are written, since some hosts sign them;
    others are escaped.

    Example:
        >>> parse_url("https://shop.vn/ảnh.jpg#top")
        URL('https://shop.vn/%E1%BA%A3nh.jpg')
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


class BlockedAddressError(OSError):
    """A host leads to an address that may not be reached; the message is a sentence for the person
    who reads the row.
    """


@dataclass(frozen=True, slots=True)
class AllowedHost:
    """An exception by name; without a port it holds for all ports."""

    host: str
    port: int | None


def parse_allowed_host(entry: str) -> AllowedHost:
    """Return the exception that HOST, HOST:PORT or [IPV6]:PORT stands for; raises ValueError."""
    text = entry.strip()
    bare_ipv6 = text.count(":") > 1 and not text.startswith("[")
    url = URL(f"http://[{text}]" if bare_ipv6 else f"http://{text}")
    if not url.raw_host:
        raise ValueError(
            f"{entry!r} is not HOST or HOST:PORT, such as 127.0.0.1:8765 or pictures.intranet"
        )
    host = _canonical_host(url.raw_host)
    return AllowedHost(host, url.explicit_port)


def literal_address(host: str) -> IPAddress | None:
    """Return the address that a URL's host spells, in any notation that the C library's resolver
    takes; None for a name.
    """
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    if not _LEGACY_IPV4.fullmatch(host):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host.rstrip(".")))
    except OSError:
        return None


def embedded_addresses(address: IPAddress) -> list[IPAddress]:
    """Return the address and the IPv4 addresses that it carries: mapped, compatible, 6to4, Teredo,
    NAT64.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    inner: list[IPAddress | None] = [address.ipv4_mapped, address.sixtofour]
    if address.teredo:
        inner.extend(address.teredo)
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1):
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [address, *(inner_address for inner_address in inner if inner_address is not None)]


def refused_because(address: IPAddress) -> str | None:
    """Return what makes an address unreachable for us ("a loopback address"), or None for a public
    one.

    Example:
        >>> refused_because(ipaddress.ip_address("::ffff:127.0.0.1"))
        'a loopback address'
        >>> refused_because(ipaddress.ip_address("8.8.8.8")) is None
        True
    """
    embedded = embedded_addresses(address)
    # A carrier is as public as what it carries: ::ffff:8.8.8.8 is fine, though itself reserved.
    judged = embedded[1:] if len(embedded) > 1 else embedded
    return next((reason for reason in map(_refused_because, judged) if reason), None)


def _refused_because(address: IPAddress) -> str | None:
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local or address in _METADATA_ADDRESSES:
        return "a link-local or cloud metadata address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_unspecified or not address.is_global:
        return "a private or reserved address"
    return None


class AddressGuard:
    """Decides on every host, port and address before a connection is made."""

    def __init__(self, allow_hosts: Iterable[str]) -> None:
        """`allow_hosts`: HOST or HOST:PORT entries; raises ValueError for others."""
        self.allowed = frozenset(parse_allowed_host(entry) for entry in allow_hosts)

    def allows(self, host: str, port: int) -> bool:
        """Whether the user named this host, with this port or without any."""
        name = _canonical_host(host)
        return AllowedHost(name, port) in self.allowed or AllowedHost(name, None) in self.allowed

    def check(self, host: str, port: int, address: IPAddress) -> None:
        """Raise BlockedAddressError unless `address` is public or the user allows `host` and
        `port`.
        """
        reason = refused_because(address)
        if reason is None or self.allows(host, port):
            return
        what = (
            f"{host} is {reason}"
            if str(address) == host
            else f"{host} leads to {address}, {reason}"
        )
        raise BlockedAddressError(
            f"{what}, and such addresses are not reached by default. If you trust it, allow it "
            f"with --allow-host {_bracketed(host)}:{port} (setting download.allow_hosts)."
        )

    def pin(self, url: URL) -> URL:
        """Return `url` with a numeric host in its usual notation; raises BlockedAddressError for
        one that may not be reached.

        Names are left for the resolver, which checks what they resolve to.
        """
        host = url.raw_host or ""
        address = literal_address(host)
        if address is None:
            return url
        self.check(host, url.port or 0, address)
        return url if str(address) == host else url.with_host(str(address))


def _canonical_host(host: str) -> str:
    address = literal_address(host)
    return str(address) if address else host.rstrip(".").lower()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
