"""The folder that people drop workbooks into: what is new, changed, removed, half-written or
broken.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.project.project import Project
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.storage import FileTree, layout

SUFFIXES = frozenset({".xlsx", ".xlsm", ".xls", ".ods", ".csv", ".tsv", ".parquet"})
LOCK_PREFIXES = ("~$", ".~lock.")
# What file systems tell of a file: folders its time to the nanosecond, object stores one to the
# second and a hash.
SIGNATURE = ("size", "mtime", "LastModified", "ETag")


@dataclass(frozen=True)
class Remembered:
    """What was seen of a file at the last look.

    `signature`: its size and time; `handled`: the one that was acted upon.
    """

    signature: str
    handled: str = ""
    category: str = ""
    gone: bool = False


@dataclass(frozen=True)
class Look:
    """One look at the folder: files to read, files that were taken away, and what to remember for
    the next look.
    """

    settled: tuple[str, ...]
    removed: tuple[str, ...]
    memory: Mapping[str, Remembered]


@dataclass
class Findings:
    """What a look brought: categories whose workbook is new or changed, categories to retire, and
    what is wrong, in words.
    """

    changed: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def look(signatures: Mapping[str, str], memory: Mapping[str, Remembered]) -> Look:
    """Compare the folder (name to signature) with what is remembered.

    A file counts when two looks in a row saw the same signature, so that one that is being written
    waits; a file is gone when two looks in a row missed it.
    """
    remembered = {}
    for name, signature in signatures.items():
        before = memory.get(name, Remembered(""))
        remembered[name] = replace(before, signature=signature, gone=False)
    for name in memory.keys() - signatures.keys():
        if not memory[name].gone:
            remembered[name] = replace(memory[name], gone=True)
    settled = [
        name
        for name, signature in signatures.items()
        if name in memory and memory[name].signature == signature != memory[name].handled
    ]
    removed = [name for name in memory.keys() - signatures.keys() if memory[name].gone]
    return Look(tuple(sorted(settled)), tuple(sorted(removed)), remembered)


def read_signatures(folder: FileTree) -> dict[str, str]:
    """Return name and signature of the workbooks in `folder`, without locks, hidden files and files
    that are open.
    """
    base = folder.location("_").rsplit("/", 1)[0]
    if not folder.filesystem.exists(base):
        raise InputError(
            f"The catalogue folder {folder.root} does not exist. Create it, or set "
            f"automation.catalogue_folder to another one."
        )
    entries = folder.filesystem.ls(base, detail=True, refresh=True)
    files = {
        PurePosixPath(entry["name"]).name: entry for entry in entries if entry["type"] == "file"
    }
    opened = {
        name[len(prefix) :].rstrip("#")
        for name in files
        for prefix in LOCK_PREFIXES
        if name.startswith(prefix)
    }
    return {
        name: ":".join(str(entry[part]) for part in SIGNATURE if part in entry)
        for name, entry in files.items()
        if PurePosixPath(name).suffix.lower() in SUFFIXES
        and not name.startswith((".", "~"))
        and name not in opened
    }


def take_in(
    project: Project, folder: FileTree, memory: Mapping[str, Remembered]
) -> tuple[Findings, dict[str, Remembered]]:
    """Look at the folder, record new and changed workbooks, retire the categories of removed ones.

    Returns what was found and what to remember. Each problem is named once per state of its file.
    """
    project.claim_storage()
    outlook = look(read_signatures(folder), memory)
    remembered, findings = dict(outlook.memory), Findings()
    for name in outlook.settled:
        category = _take_in_file(project, folder, name, remembered, findings)
        remembered[name] = replace(
            remembered[name], handled=remembered[name].signature, category=category
        )
    for name in outlook.removed:
        category = memory[name].category
        if category and category not in {file.category for file in remembered.values()}:
            project.retired.retire(category)
            findings.retired.append(category)
    return findings, remembered


def _take_in_file(
    project: Project,
    folder: FileTree,
    name: str,
    remembered: Mapping[str, Remembered],
    findings: Findings,
) -> str:
    """Record one workbook and return its category, empty when it cannot be used."""
    from clustering_pipeline.core.text import category_slug
    from clustering_pipeline.stages.catalogue import read_workbook

    try:
        category = category_slug(PurePosixPath(name).stem)
        if other := _owner(remembered, category, name):
            raise InputError(
                f"{name} and {other} in {folder.root} both give the category {category}. Rename "
                f"one of them."
            )
        settings = project.category_settings(category).catalogue
        _refuse_large(folder, name, settings)
        content = folder.read(name)
        read_workbook(content, name, settings)
        with project.home.using_storage():
            _record(project, category, _local_copy(project, folder, name, content))
    except (InputError, OSError) as error:
        findings.problems.append(
            str(error) if isinstance(error, InputError) else f"{name} cannot be read ({error})."
        )
        return remembered[name].category
    project.retired.restore(category)
    findings.changed.append(category)
    return category


def _refuse_large(folder: FileTree, name: str, settings: CatalogueSettings) -> None:
    """Raise InputError for a file that is larger than a workbook may unpack to, before it is
    read.
    """
    megabytes = folder.filesystem.size(folder.location(name)) / 2**20
    if megabytes > settings.max_uncompressed_megabytes:
        raise InputError(
            f"{name} in {folder.root} has {megabytes:,.0f} MB, over the limit of "
            f"{settings.max_uncompressed_megabytes:,}. Take it out of the folder, or raise "
            f"catalogue.max_uncompressed_megabytes."
        )


def _record(project: Project, category: str, path: Path) -> None:
    recorded = next(
        (source for source in project.sources.all() if source.category == category), None
    )
    if recorded is not None and recorded.path == str(path):
        project.sources.record(
            path, recorded.display_name, output=recorded.output, sheets=recorded.sheets
        )
    else:
        project.sources.record(path)


def _owner(remembered: Mapping[str, Remembered], category: str, name: str) -> str | None:
    return next(
        (
            other
            for other, file in sorted(remembered.items())
            if file.category == category and other != name
        ),
        None,
    )


def _local_copy(project: Project, folder: FileTree, name: str, content: bytes) -> Path:
    """Return the file itself when the folder is local, else a copy of it below the home."""
    if folder.is_local:
        return Path(folder.location(name))
    copy = project.home.state / layout.CATALOGUE_COPIES / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(content)
    return copy


def dump_memory(memory: Mapping[str, Remembered]) -> str:
    """Return the memory as text, for the cursor of the sensor."""
    return json.dumps({name: vars(file) for name, file in sorted(memory.items())})


def load_memory(text: str | None) -> dict[str, Remembered]:
    """Return the memory that `dump_memory` wrote; empty when there is none."""
    return {name: Remembered(**file) for name, file in json.loads(text or "{}").items()}
