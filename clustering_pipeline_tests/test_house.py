"""The rules of the house that no other tool checks."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "clustering_pipeline"
# Folders that only hold rooms; their rooms are entered by name.
FLOORS = ("core", "stages", "outputs", "orchestration")
# Rooms whose modules are places of their own: a command, a kind of setting, a part of Dagster.
OPEN_ROOMS = (
    "cli",
    "settings",
    "project",
    "orchestration.assets",
    "orchestration.sync",
    "orchestration.runtime",
)
LARGEST_FILE = 27_000


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    return tuple(_imports(ast.parse(path.read_text(encoding="utf-8"))))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def rooms() -> list[str]:
    packages = [
        ".".join(path.parent.relative_to(PACKAGE).parts) for path in PACKAGE.rglob("__init__.py")
    ]
    direct = [
        name
        for name in packages
        if name and name not in FLOORS and name.rpartition(".")[0] in ("", *FLOORS)
    ]
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
    users = {
        path.name
        for path in PACKAGE.rglob("*.py")
        for name in imports_of(path)
        if name.startswith("dagster._")
    }
    assert users == {"dagster_internals.py"}


def test_files_are_small_enough_to_be_read():
    folders = (PACKAGE, ROOT / "clustering_pipeline_tests", ROOT / "benchmarks")
    large = [
        path
        for folder in folders
        for path in folder.rglob("*.py")
        if path.stat().st_size > LARGEST_FILE
    ]
    assert large == []


def test_the_gate_calls_the_very_test_command_of_the_readme():
    readme, gate = (
        (ROOT / "README.md").read_text(encoding="utf-8"),
        (ROOT / ".ci" / "run").read_text(encoding="utf-8"),
    )
    command = next(
        line
        for line in readme.splitlines()
        if line.startswith("pip install uv && uv run") and " pytest" in line
    )
    assert command in gate


PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
FOLDERS = (
    "clustering_pipeline",
    "clustering_pipeline_tests",
    "benchmarks",
    "training",
    "docs",
    "docker",
)
# Folders of the package may be named without it, as in `stages/download/plan.py`.
BELOW_THE_PACKAGE = tuple(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def without_code(text: str) -> str:
    return re.sub(
        r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    )


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings
    }


def leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    file = page.parent / name if name else page
    return file.exists() and (not anchor or anchor in anchors_of(file))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_the_pages_lead_somewhere(page: Path):
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    assert [
        target for target in targets if "://" not in target and not leads_somewhere(page, target)
    ] == []


def named_files(text: str) -> set[str]:
    """Return the code spans of a page that name a file of the checkout or a folder;
    `settings/clusters` is an asset.
    """
    spans = re.findall(
        r"`([^`\s]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    )
    whole, below = "|".join(FOLDERS), "|".join(BELOW_THE_PACKAGE)
    named = re.compile(
        rf"({whole})(/[\w.-]+)*/?|({below})(/[\w.-]+)*/[\w-]+\.\w+|[\w-]+(/[\w-]+)+\.py"
    )
    return {span for span in spans if named.fullmatch(span)}


def is_there(name: str) -> bool:
    return (ROOT / name).exists() or (PACKAGE / name).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_the_pages_name_are_there(page: Path):
    assert [
        name for name in named_files(page.read_text(encoding="utf-8")) if not is_there(name)
    ] == []


def test_modules_that_the_pages_name_are_there():
    modules = {
        name
        for page in PAGES
        for name in re.findall(r"\bclustering_pipeline(?:\.\w+)+", page.read_text(encoding="utf-8"))
    }
    paths = {name: ROOT / name.replace(".", "/") for name in modules}
    assert modules
    assert [
        name
        for name, path in paths.items()
        if not (path.is_dir() or path.with_suffix(".py").exists())
    ] == []


def test_the_pages_of_the_readme_are_all_the_pages():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [
        page.name for page in PAGES if page.name != "README.md" and page.name not in readme
    ] == []


def test_the_licence_of_every_dependency_is_told():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = declared["project"]["optional-dependencies"] | declared["dependency-groups"]
    needed = [
        *declared["project"]["dependencies"],
        *(one for group in groups.values() for one in group),
    ]
    told = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    names = {re.match(r"[\w-]+", one).group() for one in needed}
    assert (
        sorted(name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", told)) == []
    )
