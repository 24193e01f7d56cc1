"""Which engine runs the batches of the stages."""

from collections.abc import Callable

from clustering_pipeline.engine import Engine, LocalEngine
from clustering_pipeline.errors import InputError
from clustering_pipeline.settings import ComputeSettings


def _local(settings: ComputeSettings) -> Engine:
    return LocalEngine(settings.workers)


ENGINES: dict[str, Callable[[ComputeSettings], Engine]] = {"local": _local}


def make_engine(settings: ComputeSettings) -> Engine:
    """Return the engine that `compute.engine` names; raises InputError for an unknown one."""
    if settings.engine not in ENGINES:
        raise InputError(f"`compute.engine` is {settings.engine!r}, which is none of {', '.join(sorted(ENGINES))}.")
    return ENGINES[settings.engine](settings)
