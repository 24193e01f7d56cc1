import asyncio

import pytest
from fastapi.testclient import TestClient
from starlette.requests import ClientDisconnect

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.web import ServeOptions, create_app, security
from clustering_pipeline_tests.web.conftest import ADDRESS

TOKEN = "a-token-of-good-length"


def client_with(folder, base_url=ADDRESS, **options):
    app = create_app(Project(PipelineHome(folder).prepare()), ServeOptions(author="lan", **options))
    return TestClient(app, base_url=base_url, follow_redirects=False)


@pytest.fixture
def guarded(tmp_path):
    return client_with(tmp_path, base_url="http://192.0.2.7:8765", host="0.0.0.0", token=TOKEN)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "",
        "localhost.evil.example",
        "[::1",
        "[x]",
    ],
)
def test_a_name_that_is_not_ours_is_refused(tmp_path, host):
    answer = client_with(tmp_path).get("/", headers={"host": host})
    assert answer.status_code == 421


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "pipeline.lan:8765"]
)
def test_our_own_names_are_let_in(tmp_path, host):
    assert (
        client_with(tmp_path, names=("pipeline.lan",)).get("/", headers={"host": host}).status_code
        == 200
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_writing_request_of_another_site_is_refused(tmp_path, headers):
    assert client_with(tmp_path).post("/c/x/undo", data={}, headers=headers).status_code == 403


def test_a_server_that_others_can_reach_needs_a_token():
    with pytest.raises(InputError, match="--token"):
        ServeOptions(host="0.0.0.0", author="lan")
    with pytest.raises(InputError, match="16"):
        ServeOptions(token="short", author="lan")


def test_without_the_token_nothing_is_shown(guarded):
    for path in ("/", "/api/categories", "/static/base.css", "/?token=wrong", "/api/openapi.json"):
        answer = guarded.get(path)
        assert answer.status_code == 401 and "token" in answer.json()["error"]


def test_a_browser_that_is_refused_sees_a_page(guarded):
    answer = guarded.get("/", headers={"accept": "text/html,*/*"})
    assert answer.status_code == 401 and "<h1>A token is needed." in answer.text
    odd = guarded.get("/", headers={"accept": "text/html", "host": "<script>.example"})
    assert odd.status_code == 421 and "<script" not in odd.text


def test_the_token_in_the_address_becomes_a_cookie(guarded):
    answer = guarded.get(f"/?token={TOKEN}")
    assert answer.status_code == 303 and TOKEN not in answer.headers["location"]
    assert (
        "HttpOnly" in answer.headers["set-cookie"]
        and "SameSite=strict" in answer.headers["set-cookie"]
    )
    assert guarded.get("/").status_code == 200


def test_programs_bring_the_token_as_bearer(guarded):
    assert (
        guarded.get("/api/categories", headers={"authorization": f"Bearer {TOKEN}"}).status_code
        == 200
    )
    assert (
        guarded.get("/api/categories", headers={"authorization": "Bearer wrong"}).status_code == 401
    )


def test_every_answer_has_a_strict_policy(tmp_path):
    client = client_with(tmp_path)
    for path in ("/", "/nowhere", "/api/categories", "/static/serve.js"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert (
            headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        )


def test_an_upload_over_the_limit_is_refused(tmp_path):
    client = client_with(tmp_path, upload_bytes=1000)
    assert client.post("/c/x/search", content=b"x" * 1001).status_code == 413


def test_a_body_that_hides_its_length_is_cut_off(tmp_path):
    client = client_with(tmp_path, upload_bytes=1000)

    def endless():
        for _ in range(100):
            yield b"x" * 100

    with pytest.raises((ClientDisconnect, ConnectionError)):
        answer = client.post(
            "/c/x/search",
            content=endless(),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code >= 400
        raise ConnectionError


def test_a_client_that_stops_sending_is_let_go(monkeypatch):
    monkeypatch.setattr(security, "LONGEST_SILENCE", 0.01)
    answers = []

    async def application(scope, receive, send):
        answers.extend([await receive(), await receive()])

    async def sends_half_a_body():
        if not answers and not sent:
            sent.append(True)
            return {"type": "http.request", "body": b"half", "more_body": True}
        return await asyncio.Event().wait()

    sent = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")],
    }
    asyncio.run(security.Gate(application, ServeOptions())(scope, sends_half_a_body, None))
    assert [answer["type"] for answer in answers] == ["http.request", "http.disconnect"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../pyproject.toml",
        "/static/%2e%2e%2fapp.py",
        "/static/app.py",
        "/c/..%2f..%2fetc/report",
    ],
)
def test_a_path_reaches_no_file(tmp_path, path):
    assert client_with(tmp_path).get(path).status_code == 404


def test_an_empty_home_says_what_to_do(tmp_path):
    answer = client_with(tmp_path).get("/")
    assert answer.status_code == 200 and "Drop a workbook above" in answer.text
