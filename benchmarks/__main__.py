"""`python -m benchmarks SUITE …`: measures named suites and writes their results."""

import argparse
import importlib
import os
import pkgutil
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

from benchmarks import suites
from benchmarks.figures import Figure, Options, SuiteUnavailableError
from benchmarks.machine import describe_machine
from benchmarks.report import RESULTS, markdown_table, write_suite

DATASETS_VARIABLE = "CLUSTERING_PIPELINE_DATASETS"
NEIGHBOUR = Path(__file__).resolve().parents[1].parent / "shared" / "datasets"


def main() -> int:
    """Run the suites that were named; returns 1 when a figure is not as asked, 2 when a suite could
    not run.
    """
    arguments = _parse()
    # What is started is as Python comes, and compiles nothing again that was imported before.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    known = _known_suites()
    if arguments.list or not arguments.suites:
        for name in known:
            print(f"{name:14} {(_suite(name).__doc__ or '').strip().splitlines()[0]}")
        return 0
    unknown = sorted(set(arguments.suites) - set(known))
    if unknown:
        print(
            f"There is no suite {', '.join(unknown)}. Known are: {', '.join(known)}.",
            file=sys.stderr,
        )
        return 2
    return max(_run_suite(name, _suite(name), arguments) for name in arguments.suites)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measures named suites beside their peers."
    )
    parser.add_argument(
        "suites", nargs="*", metavar="SUITE", help="suites to run; without any they are listed"
    )
    parser.add_argument("--list", action="store_true", help="list the suites")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="the smallest sizes that still say something; results are not kept",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="the largest sizes, where a suite has some beyond its default",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="begin no further trial after so many minutes, where a suite has many; the results "
        "say how many ran",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="where such suites keep finished trials: another run with the same folder goes on",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    return parser.parse_args()


def _known_suites() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(suites.__path__))


def _suite(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.suites.{name}")


def _run_suite(name: str, module: ModuleType, arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"benchmark-{name}-") as scratch:
        try:
            figures: list[Figure] = module.run(
                Options(
                    Path(scratch),
                    _datasets(),
                    arguments.quick,
                    arguments.full,
                    arguments.keep,
                    None if arguments.minutes is None else started + 60 * arguments.minutes,
                )
            )
        except SuiteUnavailableError as error:
            print(f"{name}: not run, {error}", file=sys.stderr)
            return 2
    seconds = time.monotonic() - started
    print(f"{name}, {seconds:.0f} s\n{markdown_table(figures)}")
    if not arguments.quick:
        print(
            write_suite(
                arguments.results, name, module.__doc__ or "", figures, describe_machine(), seconds
            )
        )
    return 1 if any(figure.is_met is False for figure in figures) else 0


def _datasets() -> Path | None:
    named = os.environ.get(DATASETS_VARIABLE)
    folder = Path(named) if named else NEIGHBOUR
    return folder if folder.is_dir() else None


if __name__ == "__main__":
    sys.exit(main())
