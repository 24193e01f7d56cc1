"""Batches and models on Ray: order, bounds, workers that are lost, clusters of several nodes, and
what is said where Ray cannot be used.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial

import cv2
import numpy as np
import pytest

from clustering_pipeline.core import ray_engine
from clustering_pipeline.core.engine import Hosted, make_engine
from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.ray_engine import RETRIES, RayEngine, problem_with_ray
from clustering_pipeline_tests.core.test_engine import see_workers_end_with_their_parent

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
ray = pytest.importorskip("ray", reason="needs the extra `ray`: `uv sync --extra ray`")


@pytest.fixture(scope="module", autouse=True)
def local_ray():
    """A Ray with two processors, and two cards that nobody has."""
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=1 << 28,
    )
    yield
    ray.shutdown()


@pytest.fixture
def without_ray(local_ray, monkeypatch):
    """No Ray in this process, as before anything was mapped."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)


def squares(batch):
    return [number**2 for number in batch]


def add(batch, numbers):
    return [number + int(numbers.sum()) for number in batch]


def note(batch, folder):
    for number in batch:
        (folder / f"{number}").touch()
    return batch


def threads(batch):
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    pools = {pool["num_threads"] for pool in threadpool_info()}
    return [(cv2.getNumThreads(), pools, os.environ["OMP_NUM_THREADS"]) for _ in batch]


def change(batch):
    for array in batch:
        array += 1
    return batch


def refuse_three(batch):
    if 3 in batch:
        raise StageError("three is refused")
    return batch


def die(batch):
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(batch, folder):
    for number in batch:
        mark = folder / f"{number}"
        if number % 5 == 0 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return batch


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_results_come_in_order_whatever_the_batch(batch_size):
    batches = RayEngine(2).map_batches(squares, range(20), batch_size=batch_size)
    assert [result for batch in batches for result in batch] == [number**2 for number in range(20)]


def test_what_batches_have_in_common_may_be_large():
    numbers = np.ones(4_000_000, np.int64)
    batches = RayEngine(2).map_batches(partial(add, numbers=numbers), range(20), batch_size=1)
    assert [result for [result] in batches] == [number + len(numbers) for number in range(20)]


def test_no_more_is_begun_than_asked_for(tmp_path):
    results = RayEngine(2).map_batches(partial(note, folder=tmp_path), range(60), batch_size=1)
    assert [next(results) for _ in range(3)] == [[0], [1], [2]]
    assert len(list(tmp_path.iterdir())) <= 3 + 4
    assert [number for [number] in results] == list(range(3, 60))


def test_an_abandoned_map_leaves_ray_usable():
    iterator = RayEngine(2).map_batches(squares, range(50), batch_size=1)
    assert next(iterator) == [0]
    iterator.close()
    assert len(list(RayEngine(2).map_batches(squares, range(20), batch_size=1))) == 20


def test_arrays_may_be_changed_on_both_sides():
    arrays = [np.zeros(100_000) for _ in range(8)]
    for [array] in RayEngine(2).map_batches(change, arrays, batch_size=1):
        array += 1
        assert array.tolist() == [2.0] * 100_000


def test_workers_compute_in_one_thread():
    for [found] in RayEngine(2).map_batches(threads, range(6), batch_size=1):
        assert found == (1, {1}, "1")


def test_what_a_batch_raises_comes_as_it_was_raised():
    results = RayEngine(2).map_batches(refuse_three, range(10), batch_size=1)
    assert [next(results) for _ in range(3)] == [[0], [1], [2]]
    with pytest.raises(StageError, match=r"^three is refused$"):
        next(results)


def test_a_worker_that_is_lost_changes_nothing(tmp_path):
    batches = RayEngine(2).map_batches(partial(die_once, folder=tmp_path), range(20), batch_size=2)
    assert [number for batch in batches for number in batch] == list(range(20))
    assert len(list(tmp_path.iterdir())) == 4


def test_a_batch_that_ends_every_worker_is_a_stage_error_and_the_next_stage_goes_on():
    with pytest.raises(StageError, match=rf"lost {RETRIES + 1} times.*compute\.workers"):
        list(RayEngine(2).map_batches(die, range(8), batch_size=1))
    assert len(list(RayEngine(2).map_batches(squares, range(20), batch_size=1))) == 20


class Model:
    """Tells in which process and with which card it was loaded."""

    def __init__(self, folder):
        self.place = f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}"
        (folder / self.place).touch()


def prepare(batch):
    return np.array(batch, np.float32)


def apply(model, prepared):
    return (prepared * 2).tolist(), model.place


def apply_or_die_once(model, prepared, folder):
    return die_once(prepared.astype(int).tolist(), folder)


def refuse():
    raise StageError("The weights are not there. Pull them.")


def test_every_card_holds_the_model_once(tmp_path):
    hosted = Hosted(partial(Model, tmp_path), prepare, apply, device_batch=5)
    answers = list(RayEngine(2).map_hosted(hosted, range(40), batch_size=2))
    assert [number for numbers, _ in answers for number in numbers] == [2.0 * n for n in range(40)]
    assert {len(numbers) for numbers, _ in answers} == {5}
    places = {place for _, place in answers}
    assert {place.split()[1] for place in places} == {"0", "1"}
    assert {path.name for path in tmp_path.iterdir()} == places


def test_a_host_that_is_lost_loads_its_model_again(tmp_path):
    models, deaths = tmp_path / "models", tmp_path / "deaths"
    models.mkdir()
    deaths.mkdir()
    hosted = Hosted(
        partial(Model, models), prepare, partial(apply_or_die_once, folder=deaths), device_batch=2
    )
    answers = RayEngine(2).map_hosted(hosted, range(20), batch_size=2)
    assert [number for answer in answers for number in answer] == list(range(20))
    assert len(list(models.iterdir())) == 2 + 4


def test_without_a_card_every_worker_holds_the_model_once(tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    hosted = Hosted(partial(Model, tmp_path), prepare, apply, device_batch=5)
    answers = list(RayEngine(2).map_hosted(hosted, range(40), batch_size=2))
    assert [number for numbers, _ in answers for number in numbers] == [2.0 * n for n in range(40)]
    assert {len(numbers) for numbers, _ in answers} == {2}
    assert len(list(tmp_path.iterdir())) <= 2


def test_a_model_that_does_not_load_says_so_in_its_own_words():
    hosted = Hosted(refuse, prepare, apply, device_batch=2)
    with pytest.raises(StageError, match=r"^The weights are not there\. Pull them\.$"):
        list(RayEngine(2).map_hosted(hosted, range(20), batch_size=2))


def test_little_is_done_in_this_process_without_ray(without_ray, monkeypatch, tmp_path):
    monkeypatch.setattr(ray, "init", None)
    assert list(make_engine("ray", 2).map_batches(squares, [1, 2], batch_size=1)) == [[1], [4]]
    hosted = Hosted(partial(Model, tmp_path), prepare, apply, device_batch=2)
    [(numbers, place)] = RayEngine(2).map_hosted(hosted, [1, 2], batch_size=2)
    assert (numbers, place.split()[0]) == ([2.0, 4.0], str(os.getpid()))


def test_an_address_where_nobody_listens_is_told(without_ray, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(StageError, match=f"Nothing answers at RAY_ADDRESS '{address}'"):
            list(RayEngine(2).map_batches(squares, range(20), batch_size=1))
        assert "ray start" in problem_with_ray()


@contextmanager
def listener(answer):
    """A server on loopback that says `answer` to whoever connects, and then nothing; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve():
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.sendall(answer)
                    held.append(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


@pytest.mark.parametrize("scheme", ["", "ray://"])
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_what_listens_and_is_not_ray_is_told_within_seconds(
    without_ray, monkeypatch, scheme, answer
):
    monkeypatch.setattr(ray_engine, "_CONNECT_SECONDS", 0.5)
    with listener(answer) as port:
        monkeypatch.setenv("RAY_ADDRESS", f"{scheme}127.0.0.1:{port}")
        with pytest.raises(StageError, match="is not Ray"):
            list(RayEngine(2).map_batches(squares, range(20), batch_size=1))
        assert "is not Ray" in problem_with_ray()


def test_a_head_of_ray_is_known_by_its_greeting(local_ray):
    host, port = ray.get_runtime_context().gcs_address.split(":")
    assert ray_engine._greets(host, int(port))


def test_an_address_that_ray_makes_nothing_of_is_told(without_ray, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "somewhere")
    with pytest.raises(StageError, match="Ray cannot be used at RAY_ADDRESS 'somewhere'"):
        list(RayEngine(2).map_batches(squares, range(20), batch_size=1))


def test_a_machine_without_ray_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(StageError, match="uv sync --extra ray"):
        list(RayEngine(2).map_batches(squares, range(20), batch_size=1))
    assert "Ray is not installed" in problem_with_ray()


def test_ray_ends_with_a_process_that_is_killed():
    see_workers_end_with_their_parent("clustering_pipeline.core.ray_engine", "RayEngine")


SEVERAL = """
import sys
import ray
from ray.cluster_utils import Cluster
from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.ray_engine import RayEngine
from clustering_pipeline_tests.core.test_ray_engine import where
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False)
try:
    batches = list(RayEngine(storage=sys.argv[1]).map_batches(where, range(40), batch_size=1))
    print(len({place for [(_, place)] in batches}), [number for [(number, _)] in batches])
except StageError as error:
    print(error)
finally:
    ray.shutdown()
    cluster.shutdown()
"""


def where(batch):
    time.sleep(0.05)
    return [(number, ray.get_runtime_context().get_node_id()) for number in batch]


def on_two_nodes(storage):
    answer = subprocess.run(
        [sys.executable, "-c", SEVERAL, str(storage)], capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


def test_batches_go_to_every_node_that_sees_the_storage(tmp_path):
    (tmp_path / "owner.json").write_text("{}")
    assert on_two_nodes(tmp_path / "owner.json") == f"2 {list(range(40))}"


def test_a_node_that_does_not_see_the_storage_is_named(tmp_path):
    # A file of this process alone: its own standard input, which differs for every process.
    told = on_two_nodes("/proc/self/stat")
    assert told.startswith("The storage /proc/self is a folder that the node")
    assert "s3://bucket/prefix" in told
