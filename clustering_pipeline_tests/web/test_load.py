"""What many or hostile requests cost: turns, connections without a request, uploads that unfold."""

import http.client
import io
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

from benchmarks.pages import served
from benchmarks.unfolding_files import shared_strings
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.web import search_service, security
from clustering_pipeline.web.security import BusyError, Turns
from clustering_pipeline_tests.web import home


def test_room_is_shared_and_given_back():
    turns = Turns(10, most_waiting=0, seconds=0)
    with turns.take(6), turns.take(4), pytest.raises(BusyError), turns.take(1):
        pass
    with turns.take(1000):
        pass


def test_one_who_waits_gets_its_turn():
    turns, entered = Turns(1, most_waiting=1, seconds=60), threading.Event()

    def work():
        with turns.take():
            entered.set()

    with turns.take():
        waiting = threading.Thread(target=work)
        waiting.start()
        assert not entered.is_set()
    assert entered.wait(60)
    waiting.join()


def test_nobody_waits_for_ever():
    turns = Turns(1, most_waiting=5, seconds=0.01)
    with turns.take(), pytest.raises(BusyError), turns.take():
        pass


def picture():
    """A small file of 36 million pixels."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((6000, 6000), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def small_room(finished_home, monkeypatch):
    """The address of a server at which two large pictures may wait while one is decoded."""
    monkeypatch.setattr(search_service, "MOST_DECODING_WAITING", 2)
    with served(Project(PipelineHome(finished_home)), "lan") as address:
        yield address


def test_searches_beyond_the_room_are_told_to_come_again(small_room):
    url, content = small_room, picture()

    def ask(_):
        return httpx.post(
            f"{url}/api/categories/{home.SLUG}/search", files={"picture": content}, timeout=120
        )

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {200, 400, 503} and 503 in statuses
    assert all(
        "busy" in answer.json()["error"] and answer.headers["retry-after"] == "5"
        for answer in answers
        if answer.status_code == 503
    )
    assert httpx.get(url).status_code == 200


@pytest.fixture
def half_heads(shared_address):
    """Opens connections that send half a request and keep it at that."""
    opened = []

    def open_some(count):
        place = urlsplit(shared_address)
        for _ in range(count):
            one = socket.create_connection((place.hostname, place.port))
            one.sendall(b"GET / HTTP/1.1\r\nHost: 127")
            one.settimeout(60)
            opened.append(one)
        return opened

    yield open_some
    for one in opened:
        one.close()


def test_connections_that_say_nothing_whole_give_way(shared_address, half_heads, monkeypatch):
    monkeypatch.setattr(security, "MOST_CONNECTIONS", 40)
    opened = half_heads(100)
    assert httpx.get(shared_address).status_code == 200
    assert _is_closed(opened[0])


def test_the_head_of_a_request_has_its_time(shared_address, half_heads, monkeypatch):
    monkeypatch.setattr(security, "HEAD_SECONDS", 0.2)
    assert _is_closed(half_heads(1)[0])


def _is_closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_connection_that_asks_again_and_again_is_kept(shared_address, monkeypatch):
    monkeypatch.setattr(security, "HEAD_SECONDS", 30)
    place = urlsplit(shared_address)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    for _ in range(3):
        connection.request("GET", "/")
        assert connection.getresponse().read()
    connection.close()


def test_an_upload_that_unfolds_is_refused_and_the_server_goes_on(client):
    slug = client.get("/api/categories").json()[0]["slug"]
    page = f"/c/{slug}/corrections"
    secret = re.search(r'name="secret" value="([^"]+)"', client.get(page).text).group(1)
    answer = client.post(
        page, data={"secret": secret}, files={"file": ("a.xlsx", shared_strings(50_000))}
    )
    assert (answer.status_code == 400 and "characters" in answer.text) or "memory" in answer.text
    assert home.NAME in client.get("/").text
