"""Engines that run the batches of the stages, and the choice among them.

joblib's loky pool was tried in place of ours: it took items without bound while nobody asked for
results (270 of 400 where 4 are meant to wait), and its workers outlived a parent that was killed.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from clustering_pipeline.core.errors import StageError

Item = TypeVar("Item")
Result = TypeVar("Result")
Model = TypeVar("Model")
Prepared = TypeVar("Prepared")
Answer = TypeVar("Answer")
# More only take each other's turns and memory.
WORKERS_PER_CORE = 4
BatchFunction = Callable[[list[Item]], list[Result]]
# How many threads the libraries of linear algebra take.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# What is called before another process reads what this one stored: after each batch of a worker,
# before batches are handed out, and before a table names what was stored.
BEFORE_OTHERS_READ: list[Callable[[], None]] = []


def let_others_read() -> None:
    """Bring to its place what this process has stored and holds back."""
    for call in BEFORE_OTHERS_READ:
        call()


def run_batch(function: BatchFunction[Item, Result], batch: list[Item]) -> list[Result]:
    """Return the results of a batch once others can read what it stored."""
    results = function(batch)
    let_others_read()
    return results


class Engine(Protocol):
    """Maps a batch function over items.

    The result never depends on the engine, nor on the batch size.
    """

    @property
    def workers(self) -> int:
        """How many batches run at once."""

    def map_batches(
        self, function: BatchFunction[Item, Result], items: Sequence[Item], *, batch_size: int
    ) -> Iterator[list[Result]]:
        """Yield `function(batch)` for consecutive batches, in the order of `items`.

        `function` must be picklable (a module-level function or a `functools.partial` of one).
        """


@dataclass(frozen=True)
class Hosted(Generic[Model, Item, Prepared, Answer]):
    """Work on batches that needs a model; all three functions are picklable.

    Attributes:
        load: returns the model, once for each host.
        prepare: makes of a batch what `apply` takes, without the model.
        apply: returns what the model makes of a prepared batch, whatever else it was applied to.
        device_batch: items that keep a GPU busy.
    """

    load: Callable[[], Model]
    prepare: Callable[[list[Item]], Prepared]
    apply: Callable[[Model, Prepared], Answer]
    device_batch: int


@runtime_checkable
class HostingEngine(Engine, Protocol):
    """An engine whose workers hold the models; with another one the caller does."""

    def map_hosted(
        self, hosted: Hosted[Any, Item, Any, Answer], items: Sequence[Item], *, batch_size: int
    ) -> Iterator[Answer]:
        """Yield what the model makes of consecutive batches, in the order of `items`; on GPUs
        batches have `hosted.device_batch` items.
        """


# The worker processes of a pool share one.
_turn: AbstractContextManager[object] = threading.Lock()


def one_at_a_time() -> AbstractContextManager[object]:
    """Return what work that takes much memory holds meanwhile: one of the workers of a pool does,
    and one thread of any other process.
    """
    return _turn


def available_cores() -> int:
    """Cores this process may use, which on a shared machine can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_here(asked: int | None) -> int:
    """Return how many processes are started on this machine: all available cores by default, and
    never more than four for each.
    """
    cores = available_cores()
    return min(asked or cores, WORKERS_PER_CORE * cores)


def batched(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Yield consecutive slices of `items` with at most `size` elements."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def ahead(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """Yield `function(item)` in the order of `items`, threads being up to two items each ahead.

    For work that lets go of the interpreter, such as decoding, and whose results are too large to
    be sent from process to process.
    """
    with ThreadPoolExecutor(workers) as pool:
        following = iter(items)
        pending = deque(pool.submit(function, item) for item in islice(following, workers * 2))
        try:
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(function, item) for item in islice(following, 1))
                yield result
        finally:
            for future in pending:
                future.cancel()


class LocalEngine:
    """Runs batches over a pool of processes on this machine, or in this process when there is
    little to do.
    """

    def __init__(self, workers: int | None = None, smallest_pool: int = 3) -> None:
        """`workers`: processes, all available cores by default; fewer than `smallest_pool` batches
        run in this process.
        """
        self.workers = workers or available_cores()
        self.smallest_pool = smallest_pool

    def map_batches(
        self, function: BatchFunction[Item, Result], items: Sequence[Item], *, batch_size: int
    ) -> Iterator[list[Result]]:
        """Yield the results of every batch, in the order of `items`; as `Engine`."""
        batches = batched(items, batch_size)
        if self.workers == 1 or len(items) <= batch_size * (self.smallest_pool - 1):
            yield from map(function, batches)
            return
        yield from self._map_in_pool(function, batches)

    def _map_in_pool(
        self, function: BatchFunction[Item, Result], batches: Iterator[list[Item]]
    ) -> Iterator[list[Result]]:
        let_others_read()
        pool = _shared_pool(self.workers)
        pending: list[Future[list[Result]]] = []
        try:
            # A worker may die while the first batches are handed out: submitting refuses too.
            pending.extend(
                pool.submit(run_batch, function, batch)
                for batch in islice(batches, self.workers * 2)
            )
            while pending:
                result = pending.pop(0).result()
                pending.extend(
                    pool.submit(run_batch, function, batch) for batch in islice(batches, 1)
                )
                yield result
        except BrokenProcessPool as error:
            _shared_pool.cache_clear()
            raise StageError(
                "A worker process ended in the middle of its work; most often the machine ran out "
                "of memory. What was done is kept: set compute.workers to a smaller number and run "
                "again."
            ) from error
        finally:
            for future in pending:
                future.cancel()


class _Worker(SpawnProcess):
    """A process that does not run the caller's script again: what it is handed are functions of
    modules, and a script without a guard around its main part would start over in it.
    """

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802
        script, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = script


class _WorkerContext(SpawnContext):
    Process = _Worker


@cache
def _shared_pool(workers: int) -> ProcessPoolExecutor:
    """Return the pool that all stages of this process share: a worker's imports take longer than
    many a stage.
    """
    # A forked child would inherit the locks of Dagster's and gRPC's threads.
    context = _WorkerContext()
    return ProcessPoolExecutor(
        workers, mp_context=context, initializer=_prepare_worker, initargs=(context.Lock(),)
    )


def _prepare_worker(turn: AbstractContextManager[object]) -> None:
    global _turn
    _turn = turn
    # An interruption is the parent's to handle; it lets the batches under way end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The pool already fills the cores; nested threads would only compete.
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2

    cv2.setNumThreads(1)


def _end_with_parent() -> None:
    """End this worker when its parent is gone, however it ended: a killed parent tells its workers
    nothing.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _local_engine(workers: int | None, _storage: str | None) -> Engine:
    return LocalEngine(workers_here(workers))


def _ray_engine(workers: int | None, storage: str | None) -> Engine:
    from clustering_pipeline.core.ray_engine import RayEngine

    return RayEngine(workers, storage)


ENGINES: dict[str, Callable[[int | None, str | None], Engine]] = {
    "local": _local_engine,
    "ray": _ray_engine,
}


def make_engine(name: str, workers: int | None, storage: str | None = None) -> Engine:
    """Return the engine of that name, one of `ENGINES`, with so many workers, all available cores
    when None.

    `storage`: a file that workers on other machines must see as well, None where they need none.
    """
    return ENGINES[name](workers, storage)
