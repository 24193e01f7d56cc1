import asyncio
import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages.download.addresses import (
    AddressGuard,
    BlockedAddressError,
    embedded_addresses,
    literal_address,
    parse_allowed_host,
    refused_because,
)
from clustering_pipeline.stages.download.transport import GuardedResolver


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "0177.0.0.1",
            "0",
            "0.0.0.0",
            "10.1.2.3",
        ),
        *(
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "168.63.129.16",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
        ),
        *(
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:10.0.0.1",
        ),
        *(
            "::ffff:a9fe:a9fe",
            "::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "2002:7f00:1::",
            "2001:0:7f00:1::",
            "2001:db8::1",
        ),
    ],
)
def test_addresses_that_are_not_public_are_refused_in_every_spelling(host):
    address = literal_address(host)
    assert address is not None
    assert refused_because(address)
    with pytest.raises(BlockedAddressError, match="--allow-host"):
        AddressGuard(()).pin(URL.build(scheme="http", host=host))


@pytest.mark.parametrize(
    "host",
    [
        "8.8.8.8",
        "134744072",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "2002:808:808::1",
        "64:ff9b::808:808",
    ],
)
def test_public_addresses_are_reached(host):
    assert refused_because(literal_address(host)) is None


def test_an_odd_spelling_is_written_in_the_usual_one():
    assert AddressGuard(["127.0.0.1"]).pin(URL("http://0x7f.1:8080/a?b=c")) == URL(
        "http://127.0.0.1:8080/a?b=c"
    )


@pytest.mark.parametrize(
    ("entry", "host", "port", "is_allowed"),
    [
        ("127.0.0.1", "127.0.0.1", 1234, True),
        ("127.0.0.1:80", "127.0.0.1", 80, True),
        ("127.0.0.1:80", "127.0.0.1", 81, False),
        ("Pictures.Intranet", "pictures.intranet.", 443, True),
        ("pictures.intranet", "evil.pictures.intranet", 443, False),
        ("::1", "::1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:80", "::1", 81, False),
        ("localhost", "127.0.0.1", 80, False),
    ],
)
def test_a_host_is_allowed_by_its_name_and_port(entry, host, port, is_allowed):
    assert AddressGuard([entry]).allows(host, port) is is_allowed


@pytest.mark.parametrize("entry", ["", "http://shop.vn", "user@shop.vn", "shop.vn/a"])
def test_entries_that_are_no_hosts_are_refused(entry):
    with pytest.raises(ValueError, match="allow_hosts"):
        DownloadSettings(allow_hosts=(entry,))


def resolve(monkeypatch, answers, allow_hosts=()):
    def look_up(host, port, family, kind):
        found = [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in answers
        ]
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def ask():
        resolver = GuardedResolver(AddressGuard(allow_hosts))
        try:
            return [answer["host"] for answer in await resolver.resolve("shop.vn", 80)]
        finally:
            await resolver.close()

    return asyncio.run(ask())


def test_only_permitted_addresses_of_a_name_are_handed_on(monkeypatch):
    assert resolve(monkeypatch, ["10.0.0.1", "8.8.8.8", "::1"]) == ["8.8.8.8"]


def test_a_name_with_private_addresses_only_is_refused(monkeypatch):
    with pytest.raises(BlockedAddressError, match=r"shop\.vn leads to 10\.0\.0\.1"):
        resolve(monkeypatch, ["10.0.0.1"])


def test_an_allowed_name_may_have_a_private_address(monkeypatch):
    assert resolve(monkeypatch, ["10.0.0.1"], ["shop.vn:80"]) == ["10.0.0.1"]
    with pytest.raises(BlockedAddressError):
        resolve(monkeypatch, ["10.0.0.1"], ["shop.vn:8080"])


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_spelling(address):
    number = int(address)
    spellings = [str(number), hex(number), f"0{number:o}", f"{number >> 24}.{number & 0xFFFFFF}"]
    assert {literal_address(spelling) for spelling in spellings} == {address}
    mapped = ipaddress.IPv6Address(0xFFFF_0000_0000 + number)
    assert (refused_because(mapped) is None) == (refused_because(address) is None)


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_is_public_only_if_what_it_carries_is(address):
    if refused_because(address) is None:
        assert all(
            not inner.is_loopback and not inner.is_link_local
            for inner in embedded_addresses(address)
        )


@given(st.text(max_size=30))
def test_any_host_is_an_address_or_a_name(host):
    assert literal_address(host) is None or isinstance(
        literal_address(host), ipaddress.IPv4Address | ipaddress.IPv6Address
    )


def test_an_allowed_address_counts_in_any_spelling():
    assert parse_allowed_host("0x7f.1:80") == parse_allowed_host("127.0.0.1:80")
