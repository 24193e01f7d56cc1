"""What is used of Dagster beyond its public interface: nothing else imports it, and Dagster is
pinned to its minor.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from threading import Lock
from typing import Any

import dagster as dg
from cachetools import LRUCache, cached
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph, BaseAssetNode
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.storage.tags import GRPC_INFO_TAG, MAX_RETRIES_TAG
from dagster_shared.error import SerializableErrorInfo
from dagster_shared.serdes import deserialize_value

__all__ = [
    "GRPC_INFO_TAG",
    "MAX_RETRIES_TAG",
    "AssetGraph",
    "BaseAssetGraph",
    "BaseAssetNode",
    "SerializableErrorInfo",
    "UnresolvedAssetJobDefinition",
    "has_worker",
    "kept_connections",
    "run_dagster",
    "waiting_for_slots",
]

# Files of databases whose engines are kept: each run has one of its own.
_ENGINES = 64


def has_worker(server: Mapping[str, Any], run_id: str, seconds: float) -> bool:
    """Whether a code server is there and still has its worker of a run.

    `server`: where it is (port, socket, host, use_ssl), as the tag `GRPC_INFO_TAG` of the run says;
    it has so many seconds to answer.
    """
    # gRPC would be a tenth of the import of the definitions, which has to be fast.
    from dagster._grpc.client import DagsterGrpcClient
    from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult

    client = DagsterGrpcClient(
        port=server.get("port"),
        socket=server.get("socket"),
        host=server.get("host", "localhost"),
        use_ssl=bool(server.get("use_ssl")),
    )
    with suppress(DagsterUserCodeUnreachableError):
        answer = client.can_cancel_execution(
            CanCancelExecutionRequest(run_id=run_id), timeout=int(seconds)
        )
        return deserialize_value(answer, CanCancelExecutionResult).can_cancel
    return False


@contextmanager
def waiting_for_slots(
    take_turn: Callable[[dg.DagsterInstance, str], None], seconds: float
) -> Iterator[None]:
    """Call `take_turn` with the instance and the id of a run of this process whenever it waits for
    the slot of a pool, and look for a free one every so many seconds.

    Dagster's own wait in a process asks without a pause, because its interval is never above zero.
    """

    def interval(context: InstanceConcurrencyContext) -> float:
        if not context.has_pending_claims():
            return 0.0
        take_turn(context._instance, context._run_id)
        for step in context.pending_claim_steps():
            context._pending_timeouts[step] = 0.0
        return seconds

    own = InstanceConcurrencyContext.interval_to_next_pending_claim_check
    InstanceConcurrencyContext.interval_to_next_pending_claim_check = interval  # type: ignore[assignment]
    try:
        yield
    finally:
        InstanceConcurrencyContext.interval_to_next_pending_claim_check = own  # type: ignore[method-assign]


@contextmanager
def kept_connections() -> Iterator[None]:
    """Let Dagster's SQLite storages of this process keep their connections while the block runs.

    They make an engine and a connection for each query, thousands in a run: with a few new listings
    in a small category that is a quarter of its time.
    """
    engines = _share_engines()
    try:
        yield
    finally:
        for engine in list(engines.values()):
            engine.pool.close_idle()


@cache
def _share_engines() -> LRUCache[str, Any]:
    """Have the storages take one engine per file, and return the engines by address."""
    # Slow to load, and of no use where no instance is opened.
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

    engines: LRUCache[str, Any] = LRUCache(_ENGINES)
    for module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        own = module.create_engine
        module.create_engine = _one_per_address(own, engines)  # type: ignore[attr-defined]
    return engines


def _one_per_address(create: Callable[..., Any], engines: LRUCache[str, Any]) -> Callable[..., Any]:
    from sqlalchemy import QueuePool

    class KeptPool(QueuePool):
        """Keeps connections when an engine is disposed of, which Dagster does after each query."""

        def dispose(self) -> None:
            """Leave the connections for the next query."""

        def recreate(self) -> "KeptPool":
            """Go on with this pool."""
            return self

        def close_idle(self) -> None:
            """Close the connections that nobody uses."""
            super().dispose()

    @cached(engines, key=lambda address, **_: address, lock=Lock())
    def engine(address: str, **options: Any) -> Any:
        kept = {"poolclass": KeptPool, "pool_use_lifo": True, "max_overflow": -1}
        return create(address, **(options | kept))

    return engine


def run_dagster(webserver: Sequence[str]) -> None:
    """Run Dagster's command line, whose `dagster dev` starts its webserver by the command
    `webserver` with the arguments of its own.
    """
    # Slow to load, and of no use to anybody else.
    from dagster._cli import dev, main

    start = dev.open_ipc_subprocess  # type: ignore[attr-defined]

    def start_ours(parts: Sequence[str], **options: Any) -> Any:
        is_webserver = list(parts[1:3]) == ["-m", "dagster_webserver"]
        return start([*webserver, *parts[3:]] if is_webserver else parts, **options)

    dev.open_ipc_subprocess = start_ours  # type: ignore[attr-defined]
    main()  # type: ignore[no-untyped-call]
