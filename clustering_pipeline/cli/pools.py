"""`pools`: how many steps may use the GPU, the network and Gemini at a time."""

from typing import Annotated

import typer

from clustering_pipeline.cli.place import find_project
from clustering_pipeline.cli.terminal import terminal_of
from clustering_pipeline.core.errors import InputError


def pools(
    context: typer.Context,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="POOL=LIMIT", help="A limit other than the default. Repeatable."
        ),
    ] = None,
) -> None:
    """Set the limits of the pools gpu, network and gemini in the Dagster instance; doing it again
    changes nothing.
    """
    from clustering_pipeline.orchestration.runtime.instance import LIMITS, open_instance, set_limits

    terminal, project = terminal_of(context), find_project()
    with open_instance(project.home) as instance:
        limits = set_limits(instance, {**LIMITS, **_limits_of(assignments or (), tuple(LIMITS))})
    terminal.details("Pools", [(pool, limit) for pool, limit in sorted(limits.items())])
    terminal.emit({"pools": limits})


def _limits_of(
    assignments: list[str] | tuple[str, ...], pool_names: tuple[str, ...]
) -> dict[str, int]:
    limits = {}
    for assignment in assignments:
        pool, _, limit = assignment.partition("=")
        if pool not in pool_names or not limit.isdecimal():
            raise InputError(
                f"--set {assignment!r} is not POOL=LIMIT; the pools are {', '.join(pool_names)}, a "
                f"limit is a number."
            )
        limits[pool] = int(limit)
    return limits
