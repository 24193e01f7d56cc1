"""The commands `search` and `serve`."""

import json
import os
import re
import socket
import subprocess
import sys
import time

import httpx
import pytest
from typer.testing import CliRunner

from clustering_pipeline.cli import app
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.web.security import LONGEST_SILENCE
from clustering_pipeline_tests.web import home


def command(*arguments):
    return [
        sys.executable,
        "-c",
        "from clustering_pipeline.cli import main; main()",
        *map(str, arguments),
    ]


def environment(finished_home):
    return {**os.environ, "DAGSTER_HOME": str(finished_home)}


@pytest.fixture
def query(tmp_path):
    path = tmp_path / "query.jpg"
    path.write_bytes(home.picture(4, 0, seed=5))
    return path


def test_search_prints_one_json_object(finished_home, query):
    words = command("search", query, "--category", home.NAME, "--top", 3, "--json")
    done = subprocess.run(
        words, env=environment(finished_home), capture_output=True, text=True, timeout=120
    )
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and len(answer["hits"]) == 3
    assert answer["hits"][0]["verified"] and answer["hits"][0]["product_base_id"] in {
        "P016",
        "P017",
        "P018",
        "P019",
    }


def test_search_says_that_print_matches_and_what_is_left_to_check(finished_home, query):
    words = ["search", str(query), "--category", home.NAME, "--top", "3"]
    done = CliRunner().invoke(app, words, env=environment(finished_home))
    assert re.search(r"matches, \d+ points\s+P01[6-9]", done.output)
    assert "check size and variant" in done.output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["missing.jpg"], "missing.jpg"),
        (["{query}", "--mode", "nearest"], "exact, class, cluster"),
        (["http://127.0.0.1:9/x.jpg"], "127.0.0.1"),
        ([__file__], "cannot be searched with"),
        (["{query}", "--region", "9"], "regions"),
    ],
)
def test_search_says_what_is_wrong(finished_home, query, arguments, reason):
    words = [
        "search",
        *(argument.format(query=query) for argument in arguments),
        "--category",
        home.NAME,
    ]
    done = CliRunner().invoke(app, words, env=environment(finished_home))
    assert isinstance(done.exception, InputError) and reason in str(done.exception)


# A form whose end never comes.
UNFINISHED = (
    b"POST /you HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\r\n--x\r\n"
)


def test_serve_answers_until_it_is_stopped(finished_home):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        command("serve", "--port", port), env=environment(finished_home), stdout=subprocess.DEVNULL
    )
    try:
        assert home.NAME in first_answer(f"http://127.0.0.1:{port}/")
        with socket.create_connection(("127.0.0.1", port)) as upload:
            upload.sendall(UNFINISHED)
            # The server reads the body once it asks for it.
            assert upload.recv(100).startswith(b"HTTP/1.1 100")
            server.terminate()
            server.wait(LONGEST_SILENCE - 5)
    finally:
        server.kill()
        server.wait(30)


def test_the_name_alone_opens_the_pages(finished_home):
    opened = {**environment(finished_home), "PYTHONUNBUFFERED": "1"}
    for screen in ("DISPLAY", "WAYLAND_DISPLAY"):
        opened.pop(screen, None)
    server = subprocess.Popen(command(), env=opened, stdout=subprocess.PIPE, text=True)
    try:
        line = next(line for line in server.stdout if "http://" in line)
        assert home.NAME in first_answer(line.split()[-1])
    finally:
        server.terminate()
        server.wait(30)
        server.stdout.close()


def test_help_is_still_given_without_a_command():
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0 and "serve --open" in shown.output.replace("\n", " ")


def first_answer(url):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            return httpx.get(url, timeout=60).text
        except httpx.ConnectError:
            continue
    raise AssertionError("the server did not start")
