import asyncio
import base64
import datetime
import email.utils
import ipaddress
import socket
import ssl
import time

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.stages import download
from clustering_pipeline.stages.download import FetchError, fetch_one
from clustering_pipeline.stages.download.answers import retry_after
from clustering_pipeline_tests.stages.download.conftest import catalogue, picture
from clustering_pipeline_tests.stages.download.server import cut, in_turn, reply, running, silence


def failure_of(url, settings):
    with pytest.raises(FetchError) as caught:
        fetch_one(url, settings)
    return caught.value.failure


def test_one_picture_is_returned_as_it_came(server, settings):
    assert fetch_one(
        server.serve("/a.png", reply(200, picture(format="PNG"))), settings
    ) == picture(format="PNG")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/missing.jpg", "not_found"),
        ("/page", "not_an_image"),
        ("/silent", "timeout"),
        ("/busy", "server_error"),
    ],
)
def test_one_picture_fails_with_its_kind(server, settings, path, kind):
    server.serve("/page", reply(200, b"<html></html>"))
    server.serve("/silent", silence)
    server.serve("/busy", reply(503))
    assert failure_of(server.url(path), settings).kind == kind


def test_one_picture_is_guarded(server, settings):
    url = server.serve("/a.jpg", reply(200, picture()))
    assert (
        failure_of(url, settings.model_copy(update={"allow_hosts": ()})).kind == "blocked_address"
    )
    assert failure_of("file:///etc/passwd", settings).kind == "invalid_url"
    assert server.requests == []


def test_a_closed_port_is_a_failed_connection(settings):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    allowed = settings.model_copy(update={"allow_hosts": (f"127.0.0.1:{port}",)})
    assert failure_of(f"http://127.0.0.1:{port}/a.jpg", allowed).kind == "connect"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A server context with a certificate that nobody signed."""
    x509 = pytest.importorskip(
        "cryptography.x509",
        reason="cryptography, which signs the test's certificate, is not installed",
    )
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(1)
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_a_certificate_that_nobody_signed_is_refused(certificate, settings):
    with running(tls=certificate) as shop:
        allowed = settings.model_copy(update={"allow_hosts": (shop.host,)})
        failed = failure_of(shop.serve("/a.jpg", reply(200, picture())), allowed)
    assert failed.kind == "tls"
    assert "certificate" in failed.sentence


def test_credentials_are_sent_to_their_own_host_only_and_told_nobody(
    server, settings, context, caplog
):
    caplog.set_level("DEBUG")
    url = server.serve("/a.jpg", reply(302, Location="/b.jpg")).replace(
        "http://", "http://anna:hush-hush@"
    )
    server.serve("/b.jpg", reply(403))
    result = download.run(catalogue=catalogue([url]), settings=settings, context=context)
    first, second = server.requests
    assert (
        base64.b64decode(first.headers["Authorization"].removeprefix("Basic ")) == b"anna:hush-hush"
    )
    assert "Authorization" not in second.headers
    told = caplog.text + str(dict(result.facts)) + result.manifest["error"][0]
    kept = b"".join(path.read_bytes() for path in context.state.iterdir())
    assert "hush" not in told
    assert b"hush" not in kept


def test_every_hop_of_a_redirect_is_checked(server, settings):
    with running() as other:
        target = other.serve("/a.jpg", reply(200, picture()))
        url = server.serve("/a.jpg", reply(302, Location=target))
        assert failure_of(url, settings).kind == "blocked_address"
        assert other.requests == []
        both = settings.model_copy(update={"allow_hosts": (server.host, other.host)})
        assert fetch_one(url, both) == picture()


def test_the_connection_goes_to_the_address_that_was_checked(server, settings, monkeypatch):
    answers = iter(["127.0.0.1", "10.0.0.1"])

    def changing(host, port, *_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    url = server.serve("/a.jpg", reply(200, picture())).replace("127.0.0.1", "shop.test")
    monkeypatch.setattr(socket, "getaddrinfo", changing)
    assert (
        fetch_one(url, settings.model_copy(update={"allow_hosts": (f"shop.test:{server.port}",)}))
        == picture()
    )
    assert next(answers) == "10.0.0.1"


@pytest.fixture
def proxy(monkeypatch):
    with running() as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        monkeypatch.delenv("no_proxy", raising=False)
        yield proxy


def test_a_proxy_is_used_only_when_it_is_trusted(server, settings, proxy):
    proxy.serve("http://shop.test/a.jpg", reply(200, picture()))
    trusting = settings.model_copy(update={"trust_proxy": True})
    assert fetch_one("http://shop.test/a.jpg", trusting) == picture()
    fetch_one(server.serve("/a.jpg", reply(200, picture())), settings)
    assert len(proxy.requests) == 1


def test_allowed_hosts_are_reached_without_the_proxy(server, settings, proxy):
    fetch_one(
        server.serve("/a.jpg", reply(200, picture())),
        settings.model_copy(update={"trust_proxy": True}),
    )
    assert proxy.requests == []


def test_numeric_private_addresses_are_refused_even_through_a_proxy(settings, proxy):
    trusting = settings.model_copy(update={"trust_proxy": True, "allow_hosts": ()})
    assert failure_of("http://169.254.169.254/latest", trusting).kind == "blocked_address"
    assert proxy.requests == []


def test_retry_after_is_obeyed(server, settings, context):
    url = server.serve("/a.jpg", in_turn(reply(429, Retry_After="1"), reply(200, picture())))
    assert (
        download.run(catalogue=catalogue([url]), settings=settings, context=context).facts["failed"]
        == 0
    )
    first, second = server.requests
    assert second.at - first.at >= 1


@pytest.mark.parametrize(
    "first",
    [
        reply(408),
        reply(425),
        reply(429),
        reply(500),
        reply(503),
        b"",
        reply(200, b"half", length=100),
    ],
    ids=repr,
)
def test_what_may_pass_is_tried_again(server, settings, first):
    answer = cut(first) if not first.endswith(b"\r\n\r\n") else first
    assert (
        fetch_one(server.serve("/a.jpg", in_turn(answer, reply(200, picture()))), settings)
        == picture()
    )
    assert len(server.requests) == 2


def test_a_host_gets_no_more_connections_than_allowed(server, settings, context):
    async def slowly(request, writer):
        await asyncio.sleep(0.02)
        writer.write(reply(200, picture()))
        await writer.drain()

    urls = [server.serve(f"/{n}.jpg", slowly) for n in range(30)]
    download.run(
        catalogue=catalogue(urls),
        settings=settings.model_copy(update={"per_host_concurrency": 3}),
        context=context,
    )
    assert server.busiest == 3


def test_a_host_that_comes_back_in_the_same_run_loses_no_row(server, settings, context):
    started = time.monotonic()

    async def later(request, writer):
        writer.write(reply(503) if time.monotonic() - started < 0.4 else reply(200, picture()))
        await writer.drain()

    urls = [server.serve(f"/{n}.jpg", later) for n in range(60)]
    patient = settings.model_copy(
        update={
            "retries": 0,
            "breaker_failures": 5,
            "breaker_probe_seconds": 0.1,
            "breaker_patience_seconds": 20.0,
        }
    )
    result = download.run(catalogue=catalogue(urls), settings=patient, context=context)
    assert result.facts["hosts_set_aside"] == 1
    assert result.facts["failed"] == 0


def test_the_rows_of_a_dead_host_say_that_it_was_set_aside(server, settings, context):
    server.default = reply(500)
    hasty = settings.model_copy(
        update={"retries": 0, "breaker_failures": 3, "per_host_concurrency": 1}
    )
    result = download.run(
        catalogue=catalogue([server.url(f"/{n}.jpg") for n in range(40)]),
        settings=hasty,
        context=context,
    )
    assert set(result.manifest["error_kind"]) == {"server_error"}
    assert len(server.requests) < 15
    assert result.manifest["error"].iloc[-1].startswith("127.0.0.1 failed so often")
    assert result.facts["main_cause"] == f"40 of 40: server_error, mostly on {server.host}"
    assert f"| {server.host} | 40 | 40 | server_error 40 |" in result.facts["worst_hosts"]


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        (email.utils.formatdate(NOW + 90, usegmt=True), 90.0),
        (email.utils.formatdate(NOW - 90, usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header, seconds):
    assert retry_after(header, NOW) == seconds


@given(st.text())
def test_any_retry_after_is_a_wait_or_nothing(header):
    wait = retry_after(header, NOW)
    assert wait is None or wait >= 0


def test_a_table_of_hosts_stays_a_table(settings, context):
    result = download.run(
        catalogue=catalogue(["http://a|b`c/", "ftp://user:secret@host|x/", "?"]),
        settings=settings,
        context=context,
    )
    rows = result.facts["worst_hosts"].splitlines()[2:]
    assert all(row.count("|") == 5 for row in rows)
    assert "secret" not in result.facts["worst_hosts"]
    assert not pd.isna(result.manifest["error"]).any()
