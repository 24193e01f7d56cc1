"""`storage`: what is kept for each category, and what can go."""

from typing import Annotated

import typer

from clustering_pipeline.cli.place import find_project
from clustering_pipeline.cli.terminal import terminal_of
from clustering_pipeline.core.errors import InputError, StageError

storage_app = typer.Typer(
    help="What is kept for each category, and what can go.", invoke_without_command=True
)


@storage_app.callback()
def sizes(context: typer.Context) -> None:
    """Show how much each category keeps in each part of the storage."""
    if context.invoked_subcommand is not None:
        return
    from clustering_pipeline.project.upkeep import stored_sizes

    terminal, project = terminal_of(context), find_project()
    stored = stored_sizes(project)
    rows = [
        (f"{size.category}, {size.part}", f"{size.files:,} files, {size.bytes / 1e6:,.1f} MB")
        for size in stored
    ]
    terminal.details(f"Storage {project.storage_root}", rows)
    terminal.emit({"root": project.storage_root, "sizes": [vars(size) for size in stored]})


@storage_app.command()
def prune(
    context: typer.Context,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove them; without it they are only counted.")
    ] = False,
) -> None:
    """Remove pictures, features and workbooks that no category refers to any more."""
    from clustering_pipeline.orchestration.runtime.instance import open_instance, runs_in_flight
    from clustering_pipeline.orchestration.runtime.runs import end_lost_commands
    from clustering_pipeline.project.upkeep import find_unused, remove_unused

    terminal, project = terminal_of(context), find_project()
    with open_instance(project.home) as instance, project.home.pruning() as is_alone:
        end_lost_commands(project.home, instance)
        under_way = [f"the run {run.run_id[:8]}" for run in runs_in_flight(instance)]
        if under_way or not is_alone:
            working = under_way[0] if under_way else "another command"
            raise StageError(
                f"Something is under way here ({working}), and what it has fetched belongs to no "
                "manifest yet. Prune when it has ended; nothing was removed."
            )
        unused = find_unused(project)
        if yes:
            remove_unused(project, unused)
    title = "Removed" if yes else "Could be removed with --yes"
    terminal.details(
        title, [("files", f"{len(unused.digests):,}"), ("size", f"{unused.bytes / 1e6:,.1f} MB")]
    )
    terminal.emit({"removed": yes, "files": len(unused.digests), "bytes": unused.bytes})


@storage_app.command("take-over")
def take_over(context: typer.Context) -> None:
    """Make the storage this home's own, when the home that it belonged to is gone for good."""
    from clustering_pipeline.project.keepsakes import take_over as take

    terminal, project = terminal_of(context), find_project()
    take(project.home, project.storage_root, project.database)
    terminal.details("Taken over", [("storage", project.storage_root), ("home", project.home.path)])
    terminal.emit({"root": project.storage_root, "home": str(project.home.path)})


@storage_app.command("move-state")
def move_state(context: typer.Context) -> None:
    """Copy the numbers, corrections, downloads and deliveries of this home into storage.database.

    The database must be empty. The files are set aside in the home afterwards, and the storage
    belongs to every home that has this database.
    """
    from clustering_pipeline.project.keepsakes import claim
    from clustering_pipeline.project.keepsakes import take_over as take
    from clustering_pipeline.project.sharing import MOVED
    from clustering_pipeline.project.sharing import move_state as move

    terminal, project = terminal_of(context), find_project()
    database = project.database
    if database is None:
        raise InputError(
            f"storage.database is not set. Write the address of the PostgreSQL database into "
            f"{project.home.settings_file} first."
        )
    with project.home.pruning() as is_alone:
        if not is_alone:
            raise StageError(
                "Another command is under way here, which may write what is to be moved. Move when "
                "it has ended; nothing was copied."
            )
        claim(project.home, project.storage_root, None)
        counts = move(project.home.state, database)
        take(project.home, project.storage_root, database)
    terminal.details(
        f"Moved to {database.name}",
        [(table.replace("_", " "), f"{rows:,} rows") for table, rows in counts.items()]
        + [("files", str(project.home.state / MOVED))],
    )
    terminal.emit({"database": database.name, "rows": counts})
