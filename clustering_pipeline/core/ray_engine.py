"""The engine that runs batches on a Ray cluster, or on a Ray of its own on this machine.

Batches are Ray tasks, and models of GPUs live in Ray actors. Ray Data's `map_batches` was tried in
their place: it began all of 400 batches while nobody asked for results, where 4 are meant to wait,
turned what is no column into pickled bytes all the same, and took 1.2 s to begin where tasks take
0.06 s.
"""

import os
import pickle
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import cycle, islice
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

import clustering_pipeline.core.engine as local
from clustering_pipeline.core.engine import BatchFunction, Hosted, Item, Result, batched
from clustering_pipeline.core.errors import StageError

ADDRESS = "RAY_ADDRESS"
# A batch whose worker ended so many times is given up: it is most likely what ends them.
RETRIES = 8
# Of a Ray that is started here; batches under way and what they have in common lie in it.
_STORE_BYTES = 1 << 30
_CONNECT_SECONDS, _PROBE_SECONDS = 10.0, 120.0
# The preface of an HTTP/2 connection with empty settings; a frame's head, whose fourth byte is its
# kind, and the kind of settings.
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_HTTP2_HEAD, _HTTP2_SETTINGS = 9, 4
# What Ray makes of an address that is none.
_NO_ADDRESSES = ("", "local")
_ENVIRONMENT = {
    # Ray would send the whole checkout to its workers where `uv run` started this process.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # By default workers stand behind all else that the machine does.
    "RAY_worker_niceness": "0",
    # A node that others leave no processor for answers late; by default it is given up after a
    # quarter of a minute, and with it a Ray of one machine.
    "RAY_health_check_failure_threshold": "60",
    # Batches that nobody waits for any more may fail unheard.
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    # Without it a task whose worker is ended for want of memory is tried for ever.
    "RAY_task_oom_retries": str(RETRIES),
}
_LOCK = Lock()
_Answer = TypeVar("_Answer")


class RayEngine:
    """Runs batches as tasks of Ray, in order, so many at a time, each again when its worker is
    lost; models in actors, one for each GPU, or in the workers where there is no GPU.
    """

    def __init__(
        self, workers: int | None = None, storage: str | None = None, smallest_pool: int = 3
    ) -> None:
        """`workers`: all of the cluster by default; `storage`: a file that every node must see
        before batches are sent to several; fewer than `smallest_pool` batches run in this process.
        """
        self._workers = workers
        self.storage = storage
        self.smallest_pool = smallest_pool

    @property
    def workers(self) -> int:
        """How many batches run at once; of a cluster that is not joined yet, this machine's
        cores.
        """
        if self._workers is not None:
            return self._workers
        ray = _loaded()
        return _processors(ray) if ray.is_initialized() else local.available_cores()

    def map_batches(
        self, function: BatchFunction[Item, Result], items: Sequence[Item], *, batch_size: int
    ) -> Iterator[list[Result]]:
        """Yield the results of every batch, in the order of `items`; as `Engine`."""
        if self._is_little(items, batch_size):
            yield from map(function, batched(items, batch_size))
            return
        ray = self._joined()
        task = _task(ray)
        common = [ray.put(function)]

        def submit(batch: list[Item]) -> Any:
            return task.remote(common, _packed(batch))

        yield from self._in_order(ray, submit, batched(items, batch_size), self._window(ray))

    def map_hosted(
        self, hosted: Hosted[Any, Item, Any, _Answer], items: Sequence[Item], *, batch_size: int
    ) -> Iterator[_Answer]:
        """Yield what the model makes of every batch, in the order of `items`; as
        `HostingEngine`.
        """
        if self._is_little(items, batch_size):
            yield from _hosted_here(hosted, batched(items, batch_size))
            return
        ray = self._joined()
        common = [ray.put(hosted)]
        cards = int(ray.cluster_resources().get("GPU", 0))
        if not cards:
            task = _task_with_model(ray)

            def submit(batch: list[Item]) -> Any:
                return task.remote(common, _packed(batch))

            yield from self._in_order(ray, submit, batched(items, batch_size), self._window(ray))
            return
        hosts = _hosts(ray, cards)
        turn, prepare = cycle(hosts), _preparing(ray)

        def submit_to_host(batch: list[Item]) -> Any:
            # Beside a card the processors prepare what it takes next.
            return next(turn).apply.remote(common, prepare.remote(common, _packed(batch)))

        batches = batched(items, hosted.device_batch)
        try:
            yield from self._in_order(ray, submit_to_host, batches, 2 * len(hosts))
        finally:
            for host in hosts:
                ray.kill(host)

    def _is_little(self, items: Sequence[Any], batch_size: int) -> bool:
        return len(items) <= batch_size * (self.smallest_pool - 1)

    def _joined(self) -> Any:
        """Return Ray, connected; raises StageError with the remedy."""
        ray = _loaded()
        local.let_others_read()
        with _LOCK:
            if not ray.is_initialized():
                _connect(ray, self._workers)
        if self.storage is not None:
            _require_seen(ray, self.storage)
        return ray

    def _window(self, ray: Any) -> int:
        """Return how many batches are under way: what runs, and as many that wait, but for a
        cluster that would run those too although fewer workers were asked for.
        """
        return self.workers if _processors(ray) > self.workers else 2 * self.workers

    def _in_order(
        self,
        ray: Any,
        submit: Callable[[list[Item]], Any],
        batches: Iterator[list[Item]],
        window: int,
    ) -> Iterator[Any]:
        pending = deque(submit(batch) for batch in islice(batches, window))
        try:
            while pending:
                answer = _answer(ray, pending.popleft())
                pending.extend(submit(batch) for batch in islice(batches, 1))
                yield answer
        finally:
            for reference in pending:
                ray.cancel(reference)


def problem_with_ray() -> str | None:
    """Return why the engine cannot be used, None when Ray is installed and what `RAY_ADDRESS` names
    answers.
    """
    try:
        _loaded()
        _require_answer(os.environ.get(ADDRESS, ""))
    except StageError as error:
        return str(error)
    return None


def _loaded() -> Any:
    """Return the module `ray`, which reads its environment when it is imported."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise StageError(
            "compute.engine is ray, and Ray is not installed: `uv sync --extra ray`, or set "
            "compute.engine to local."
        ) from error
    return ray


def _connect(ray: Any, workers: int | None) -> None:
    """Join the cluster that `RAY_ADDRESS` names, or start a Ray on this machine that ends with this
    process; raises StageError.
    """
    address = os.environ.get(ADDRESS, "")
    _require_answer(address)
    place = (
        {
            "address": "local",
            "num_cpus": local.workers_here(workers),
            "object_store_memory": _STORE_BYTES,
            "include_dashboard": False,
        }
        if address in _NO_ADDRESSES
        else {"address": address}
    )
    try:
        with _one_thread_each():
            ray.init(**place, log_to_driver=False, logging_level="ERROR")
    except Exception as error:
        where = f"{ADDRESS} {address!r}" if address else "this machine"
        raise StageError(
            f"Ray cannot be used at {where}: {error}. See with `ray status` that it runs there, "
            f"with the same versions of Python and Ray as here; without {ADDRESS} a Ray is started "
            "on this machine, and with compute.engine local none is needed."
        ) from error


def _require_answer(address: str) -> None:
    """Raise StageError when nobody listens at an address, or something that is not Ray; Ray itself
    would try for minutes and then end this process.
    """
    place = urlsplit(address if "://" in address else f"//{address}")
    try:
        port = place.port
        if address in _NO_ADDRESSES or not place.hostname or not port:
            return
        is_ray = _greets(place.hostname, port)
    except (OSError, ValueError) as error:
        raise StageError(
            f"Nothing answers at {ADDRESS} {address!r} ({error}). Start Ray there with `ray start "
            f"--head --port={place.netloc.rpartition(':')[2]}`, correct the address, or leave it "
            "out: a Ray is then started on this machine."
        ) from error
    if not is_ray:
        raise StageError(
            f"What listens at {ADDRESS} {address!r} is not Ray: it does not greet as Ray's servers "
            "do. Correct the address: the port of `ray start --head --port=…`, 6379 by default, or "
            "`ray://` with that of its client server, 10001 by default; or leave it out: a Ray is "
            "then started on this machine."
        )


def _greets(host: str, port: int) -> bool:
    """Return whether a server begins as gRPC ones do, and so all of Ray's: with the settings of its
    HTTP/2 connection (RFC 9113, 3.4). Raises OSError when nobody listens.
    """
    with socket.create_connection((host, port), _CONNECT_SECONDS) as connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
            return True
        connection.settimeout(_CONNECT_SECONDS)
        try:
            connection.sendall(_HTTP2_GREETING)
            head = connection.recv(_HTTP2_HEAD, socket.MSG_WAITALL)
        except OSError:
            return False
    return len(head) == _HTTP2_HEAD and head[3] == _HTTP2_SETTINGS


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Have the processes that are started meanwhile compute in one thread each: they already fill
    the cores.
    """
    before = {name: os.environ.get(name) for name in local.THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(local.THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _processors(ray: Any) -> int:
    return max(int(ray.cluster_resources().get("CPU", 1)), 1)


@cache
def _require_seen(ray: Any, storage: str) -> None:
    """Raise StageError when not every node of the cluster sees the file `storage` with the bytes
    that it has here.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if len(nodes) < 2:
        return
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe = ray.remote(num_cpus=0, max_retries=1)(_content_of)
    asked = {
        node["NodeManagerAddress"]: probe.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(storage)
        for node in nodes
    }
    here, blind = _content_of(storage), []
    for name, reference in asked.items():
        try:
            if ray.get(reference, timeout=_PROBE_SECONDS) != here:
                blind.append(name)
        except ray.exceptions.RayError as error:
            raise StageError(
                f"The node {name} of the Ray cluster cannot run the pipeline: {_in_a_line(error)}. "
                "Install the same version of clustering-pipeline there, with the extras that your "
                "settings need."
            ) from error
    if blind:
        raise StageError(
            f"The storage {Path(storage).parent} is a folder that {_named(blind)} of the Ray "
            "cluster cannot see. Set storage.root to a folder that every node has mounted at the "
            "same place, or to an object store such as s3://bucket/prefix; or use a Ray of one "
            "machine."
        )


def _content_of(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def _named(nodes: Sequence[str]) -> str:
    return f"the node {nodes[0]}" if len(nodes) == 1 else f"the nodes {', '.join(nodes)}"


def _in_a_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else type(error).__name__


def _answer(ray: Any, reference: Any) -> Any:
    """Return what a task returned; raises what it raised, and StageError when its worker was lost
    over and over.
    """
    try:
        return pickle.loads(ray.get(reference))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise StageError(
            f"A worker of Ray was lost {RETRIES + 1} times with the same batch in hand "
            f"({_in_a_line(error)}); most often its machine ran out of memory. What was done is "
            "kept: set compute.workers or the batch_size of the stage to a smaller number and run "
            "again."
        ) from error


def _packed(value: object) -> bytes:
    # What Ray unpacks itself stays in its store, and is read-only, for as long as a stage keeps it.
    return pickle.dumps(value, protocol=5)


@cache
def _task(ray: Any) -> Any:
    return ray.remote(num_cpus=1, max_retries=RETRIES)(_run_batch)


@cache
def _preparing(ray: Any) -> Any:
    return ray.remote(num_cpus=1, max_retries=RETRIES)(_prepare_hosted)


@cache
def _task_with_model(ray: Any) -> Any:
    return ray.remote(num_cpus=1, max_retries=RETRIES)(_run_with_model)


def _hosts(ray: Any, count: int) -> list[Any]:
    host = ray.remote(num_cpus=0, num_gpus=1, max_restarts=-1, max_task_retries=RETRIES)(_Host)
    return [host.remote() for _ in range(count)]


def _hosted_here(
    hosted: Hosted[Any, Item, Any, _Answer], batches: Iterator[list[Item]]
) -> Iterator[_Answer]:
    loaded = None
    for batch in batches:
        loaded = hosted.load() if loaded is None else loaded
        yield hosted.apply(loaded, hosted.prepare(batch))


# From here on: what runs in the workers.


@lru_cache(maxsize=2)
def _common_part(reference: Any) -> Any:
    """Return what batches have in common, unpacked once for each worker; its arrays stay in the
    store of the node.
    """
    import ray

    return ray.get(reference)


@cache
def _prepare_worker() -> None:
    import cv2
    from threadpoolctl import threadpool_limits

    for variable in local.THREAD_VARIABLES:
        os.environ[variable] = "1"
    cv2.setNumThreads(1)
    threadpool_limits(1)


def _run_batch(common: list[Any], batch: bytes) -> bytes:
    _prepare_worker()
    return _packed(local.run_batch(_common_part(common[0]), pickle.loads(batch)))


def _prepare_hosted(common: list[Any], batch: bytes) -> bytes:
    _prepare_worker()
    return _packed(_common_part(common[0]).prepare(pickle.loads(batch)))


@lru_cache(maxsize=1)
def _model_of(reference: Any) -> Any:
    """Return the model of this worker, loaded once."""
    return _common_part(reference).load()


def _run_with_model(common: list[Any], batch: bytes) -> bytes:
    _prepare_worker()
    prepared = _common_part(common[0]).prepare(pickle.loads(batch))
    return _applied(common[0], prepared)


def _applied(reference: Any, prepared: Any) -> bytes:
    answer = _common_part(reference).apply(_model_of(reference), prepared)
    local.let_others_read()
    return _packed(answer)


class _Host:
    """Holds one model on its card; a host that was lost and started again loads it again, when it
    is first asked: an error before that would lose its words.
    """

    def apply(self, common: list[Any], prepared: bytes) -> bytes:
        return _applied(common[0], pickle.loads(prepared))
