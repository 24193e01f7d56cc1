"""Batches over the pool of processes, and a worker that dies."""

import os
import select
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import pytest

from clustering_pipeline.core.engine import (
    LocalEngine,
    _shared_pool,
    ahead,
    available_cores,
    make_engine,
    one_at_a_time,
)
from clustering_pipeline.core.errors import StageError


def squares(batch):
    return [number**2 for number in batch]


def process_numbers(batch):
    return [os.getpid() for _ in batch]


def die(batch):
    os._exit(1)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_results_come_in_order_whatever_the_pool_and_the_batch(workers, batch_size):
    batches = LocalEngine(workers).map_batches(squares, range(10), batch_size=batch_size)
    assert [result for batch in batches for result in batch] == [number**2 for number in range(10)]


def test_stages_share_their_worker_processes():
    first, second = (
        {
            pid
            for batch in LocalEngine(2).map_batches(process_numbers, range(20), batch_size=1)
            for pid in batch
        }
        for _ in range(2)
    )
    assert os.getpid() not in first
    assert len(first | second) <= 2


def alone(files):
    """Whether nobody else was within at the same time, for each."""
    answers = []
    for file in files:
        with one_at_a_time():
            try:
                with file.open("x") as mine:
                    mine.write("".join(map(str, range(20_000))))
                file.unlink()
                answers.append(True)
            except FileExistsError:
                answers.append(False)
    return answers


def test_what_takes_much_memory_is_done_by_one_worker_at_a_time(tmp_path):
    files = [tmp_path / "within"] * 400
    batches = LocalEngine(2).map_batches(alone, files, batch_size=20)
    assert all(answer for batch in batches for answer in batch)


def test_a_dead_worker_is_a_stage_error_and_the_next_stage_goes_on():
    with pytest.raises(StageError, match=r"compute\.workers"):
        list(LocalEngine(2).map_batches(die, range(20), batch_size=1))
    assert len(list(LocalEngine(2).map_batches(squares, range(20), batch_size=1))) == 20


def test_a_worker_killed_between_two_stages_is_a_stage_error_too():
    [pid, *_] = {
        pid
        for batch in LocalEngine(2).map_batches(process_numbers, range(20), batch_size=1)
        for pid in batch
    }
    pool = _shared_pool(2)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(BrokenProcessPool):
        while True:
            pool.submit(squares, [1])
    with pytest.raises(StageError, match=r"compute\.workers"):
        list(LocalEngine(2).map_batches(squares, range(20), batch_size=1))
    assert len(list(LocalEngine(2).map_batches(squares, range(20), batch_size=1))) == 20


def test_an_abandoned_map_leaves_the_pool_usable():
    iterator = LocalEngine(2).map_batches(squares, range(50), batch_size=1)
    assert next(iterator) == [0]
    iterator.close()
    assert len(list(LocalEngine(2).map_batches(squares, range(20), batch_size=1))) == 20


def see_workers_end_with_their_parent(module, engine):
    """Kill a process whose engine has workers, and see each of them end."""
    command = (
        "import time\n"
        f"from {module} import {engine}\n"
        "from clustering_pipeline_tests.core.test_engine import process_numbers\n"
        "if __name__ == '__main__':\n"
        f"    batches = {engine}(2).map_batches(process_numbers, range(20), batch_size=1)\n"
        "    print(*{pid for batch in batches for pid in batch}, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", command], stdout=subprocess.PIPE, text=True
    ) as parent:
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        handles = [os.pidfd_open(pid) for pid in workers]
        parent.send_signal(signal.SIGKILL)
    for handle in handles:
        # Readable once the process has ended.
        assert select.select([handle], [], [], 60)[0]
        os.close(handle)
    assert workers


def test_workers_end_with_a_parent_that_is_killed():
    see_workers_end_with_their_parent("clustering_pipeline.core.engine", "LocalEngine")


def test_work_ahead_comes_in_order_and_not_further_ahead_than_asked():
    started = []

    def note(number):
        started.append(number)
        return number * 2

    results = ahead(note, range(100), workers=2)
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    assert len(started) <= 3 + 4
    assert list(results) == [number * 2 for number in range(3, 100)]


def test_what_fails_ahead_fails_at_its_place():
    def refuse_three(number):
        if number == 3:
            raise ValueError("three")
        return number

    results = ahead(refuse_three, range(10), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_more_processes_than_a_machine_has_use_for_are_not_started():
    assert make_engine("local", 1000).workers == 4 * available_cores()
    assert [make_engine("local", asked).workers for asked in (1, None)] == [1, available_cores()]
