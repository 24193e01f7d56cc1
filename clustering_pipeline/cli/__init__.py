"""The command `clustering-pipeline`."""

import signal
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from clustering_pipeline.cli.corrections import corrections_app
from clustering_pipeline.cli.demo import demo
from clustering_pipeline.cli.doctor import doctor
from clustering_pipeline.cli.evaluate import evaluate
from clustering_pipeline.cli.export import export
from clustering_pipeline.cli.models import models_app
from clustering_pipeline.cli.pools import pools
from clustering_pipeline.cli.run import run
from clustering_pipeline.cli.search import search
from clustering_pipeline.cli.serve import serve
from clustering_pipeline.cli.storage import storage_app
from clustering_pipeline.cli.sync import status, sync
from clustering_pipeline.cli.terminal import SHARED_OPTIONS, Terminal, share_options
from clustering_pipeline.cli.train import train_app
from clustering_pipeline.cli.ui import ui
from clustering_pipeline.core.errors import PipelineError, disk_errors

INTERRUPTED = 130
# Who types the name alone gets the pages.
WITHOUT_A_COMMAND = ("serve", "--open")


class SharedOptions(TyperGroup):
    """The commands; the options that all of them share stand before the command or anywhere after
    it. Without a command the pages are opened.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the shared options to the front, where the group reads them; what follows `--` is no
        option.
        """
        end = args.index("--") if "--" in args else len(args)
        shared = [argument for argument in args[:end] if argument in SHARED_OPTIONS]
        others = [argument for argument in args[:end] if argument not in SHARED_OPTIONS]
        if not others:
            others = list(WITHOUT_A_COMMAND)
        return super().parse_args(ctx, [*shared, *others, *args[end:]])


app = typer.Typer(
    name="clustering-pipeline",
    cls=SharedOptions,
    callback=share_options,
    help="Groups the product photos of a marketplace catalogue: every listing gets the number of "
    "its product. Without a command it opens the pages in the browser, as `serve --open` does.",
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (demo, run, sync, status, ui, serve, search, export, evaluate, doctor, pools):
    app.command()(command)
for name, group in (
    ("corrections", corrections_app),
    ("models", models_app),
    ("train", train_app),
    ("storage", storage_app),
):
    app.add_typer(group, name=name)


def main() -> None:
    """Run the command line; exits with 0 when the work is done, 2 for wrong input or usage, 3 when
    a stage failed.
    """
    terminal = Terminal()
    # Whoever ends the command, such as a service manager, means what Ctrl-C does.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with disk_errors():
            app(obj=terminal)
    except PipelineError as error:
        _explain(terminal, str(error))
        sys.exit(error.exit_code)
    except SystemExit as request:
        if request.code == INTERRUPTED:
            terminal.fail(
                "Interrupted. What was done is kept: the same command goes on from there."
            )
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: a person gets a paragraph, a developer the traceback
        _explain(terminal, _unexpected(error))
        sys.exit(PipelineError.exit_code)
    finally:
        signal.signal(signal.SIGTERM, before)
        terminal.release_output()


def _explain(terminal: Terminal, text: str) -> None:
    if terminal.debug:
        traceback.print_exc()
    terminal.fail(text)


def _unexpected(error: Exception) -> str:
    return (
        f"Something that was not foreseen went wrong: {type(error).__name__}: {error}. What was "
        "done is kept. Run the command again with --debug to see where, and report that."
    )


__all__ = ["app", "main"]
