"""The rules of the house that no other tool checks."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "clustering_pipeline"
# Folders that only hold rooms; their rooms are entered by name.
FLOORS = ("core", "stages", "outputs", "orchestration")
# Rooms whose modules are places of their own: a command, a kind of setting, a part of Dagster.
OPEN_ROOMS = ("cli", "settings", "project", "orchestration.assets", "orchestration.sync", "orchestration.runtime")
LARGEST_FILE = 27_000


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def rooms() -> list[str]:
    packages = [".".join(path.parent.relative_to(PACKAGE).parts) for path in PACKAGE.rglob("__init__.py")]
    direct = [name for name in packages if name and name not in FLOORS and name.rpartition(".")[0] in ("", *FLOORS)]
    return sorted(set(direct) - set(OPEN_ROOMS))


@pytest.mark.parametrize("room", rooms())
def test_a_room_is_entered_through_its_face_only(room: str):
    inside = re.compile(rf"^clustering_pipeline\.{re.escape(room)}\.")
    entered = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in PACKAGE.rglob("*.py")
        if not path.is_relative_to(PACKAGE / room.replace(".", "/"))
        for name in imports_of(path)
        if inside.match(name)
    ]
    assert entered == []


def test_what_is_private_of_dagster_is_used_in_one_place():
    users = {path.name for path in PACKAGE.rglob("*.py") for name in imports_of(path) if name.startswith("dagster._")}
    assert users == {"dagster_internals.py"}


def test_files_are_small_enough_to_be_read():
    folders = (PACKAGE, ROOT / "clustering_pipeline_tests", ROOT / "benchmarks")
    large = [path for folder in folders for path in folder.rglob("*.py") if path.stat().st_size > LARGEST_FILE]
    assert large == []


def test_the_gate_calls_the_very_test_command_of_the_readme():
    readme, gate = (ROOT / "README.md").read_text(encoding="utf-8"), (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    command = next(
        line for line in readme.splitlines() if line.startswith("pip install uv && uv run") and line.endswith("pytest")
    )
    assert command in gate


def test_links_of_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
