"""Copies of what cannot be made again, beside the manifests: the register of cluster numbers, and
what people said; and whose storage it is, since two homes on one would give the same numbers to
different products.

The storage remembers which databases they are and how far they had come. One that is missing, empty
or damaged is restored; another one, or an older one, is refused.
"""

import json
import logging
import os
import sqlite3
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.storage import FileTree, layout

if TYPE_CHECKING:
    from clustering_pipeline.project.project import PipelineHome
    from clustering_pipeline.storage import SharedDatabase

KEPT = {
    layout.CLUSTER_NUMBERS: "register of cluster numbers",
    layout.CORRECTIONS: "record of corrections",
}
_log = logging.getLogger(__name__)
_Stamp = tuple[int, int, int]
# The files as this process checked and copied them last.
_checked: dict[Path, _Stamp] = {}
_copied: dict[Path, _Stamp] = {}


@dataclass(frozen=True)
class State:
    """Which database it is, and the highest number of each of its append-only tables."""

    identity: str
    heights: Mapping[str, int] = field(default_factory=dict)

    def holds(self, earlier: "State") -> bool:
        """Whether this is the same database at that time or later."""
        return self.identity == earlier.identity and all(
            self.heights.get(table, 0) >= height for table, height in earlier.heights.items()
        )


def difference(present: State, remembered: State) -> str:
    """Return in words why what was found does not hold what is remembered."""
    if present.identity != remembered.identity:
        return "it is of another installation"
    behind = {
        table: (present.heights.get(table, 0), height)
        for table, height in remembered.heights.items()
        if present.heights.get(table, 0) < height
    }
    return "it is older: " + ", ".join(
        f"{table} end at {have:,}, and there were {height:,}"
        for table, (have, height) in behind.items()
    )


class Keepsakes:
    """The databases of one home that its storage holds copies of."""

    def __init__(self, state: Path, root: str) -> None:
        """`state`: the folder of local databases; `root`: the folder or URL of the storage."""
        self.state = state
        self.files = FileTree(f"{root}/{layout.COPIES}")

    def check(self, name: str) -> None:
        """See that a database is the one the storage remembers; restore it when it is lost.

        Raises StageError when it is another or an older one, and when it cannot be restored.
        """
        path = self.state / name
        if path.exists() and _stamp(path) in (_checked.get(path), _copied.get(path)):
            return
        remembered, present = self._remembered(name), _state_of(path)
        if remembered is not None and present is None:
            self._restore(name, remembered)
        elif remembered is not None and present is not None and not present.holds(remembered):
            raise StageError(
                f"The {KEPT[name]} in {path} is not the one that the storage {self.files.root} "
                f"remembers: {difference(present, remembered)}. Put the right file there, or take "
                "this one away: the copy in the storage is restored then. Nothing was changed."
            )
        if path.exists():
            _checked[path] = _stamp(path)

    def keep(self) -> None:
        """Copy the databases that have changed since they were copied last."""
        for name in KEPT:
            path = self.state / name
            if path.exists() and _copied.get(path) != _stamp(path):
                self._copy(name)

    def _copy(self, name: str) -> None:
        path = self.state / name
        stamp = _stamp(path)
        with closing(sqlite3.connect(path, timeout=60)) as database:
            state = _state_in(database)
            if state is None:
                return
            if not state.identity:
                database.execute("CREATE TABLE IF NOT EXISTS identity (value TEXT NOT NULL)")
                database.execute("INSERT INTO identity VALUES (?)", (uuid.uuid4().hex,))
                database.commit()
                stamp = _stamp(path)
            with closing(sqlite3.connect(":memory:")) as copy:
                database.backup(copy)
                content, state = copy.serialize(), _state_in(copy)
        assert state is not None
        self.files.write(name, content)
        self.files.write(f"{name}.json", json.dumps(vars(state), sort_keys=True).encode())
        _copied[path] = stamp

    def _remembered(self, name: str) -> State | None:
        try:
            state: dict[str, Any] = json.loads(self.files.read(f"{name}.json"))
            return State(state["identity"], state["heights"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            self.files.set_aside(f"{name}.json", str(error))
            return None

    def _restore(self, name: str, remembered: State) -> None:
        path = self.state / name
        partial = path.with_name(f".{name}.{uuid.uuid4().hex}.partial")
        try:
            partial.write_bytes(self.files.read(name))
        except FileNotFoundError:
            partial.touch()
        restored = _state_of(partial)
        if restored is None or not restored.holds(remembered):
            partial.unlink()
            raise StageError(
                f"The {KEPT[name]} in {path} is lost or damaged, and so is the copy in "
                f"{self.files.root}. Put it back from a backup. To go without it, "
                f"remove {self.files.address(name + '.json')}: products then get new numbers, and "
                "what people said is gone."
            )
        if path.exists():
            path.replace(path.with_name(f".{name}.damaged"))
        path.with_name(f"{name}-journal").unlink(missing_ok=True)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        _log.warning(
            "The %s in %s was lost or damaged; the copy in %s was restored.",
            KEPT[name],
            path,
            self.files.root,
        )


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _state_of(path: Path) -> State | None:
    """Return the state of a database, None when it is missing, empty or damaged."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path, timeout=60)) as database:
            if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                return None
            return _state_in(database)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return None
        raise StageError(
            f"The database {path} cannot be read ({error}). See that this account may read and "
            "write it, and its folder."
        ) from error


def _state_in(database: sqlite3.Connection) -> State | None:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    heights = (
        dict(database.execute("SELECT name, seq FROM sqlite_sequence ORDER BY name"))
        if "sqlite_sequence" in tables
        else {}
    )
    row = (
        database.execute("SELECT value FROM identity").fetchone() if "identity" in tables else None
    )
    # Tables that hold nothing yet are what an empty file becomes when it is opened.
    return State(row[0] if row else "", heights) if row or heights else None


@dataclass(frozen=True)
class Owner:
    """What a storage belongs to: a home, and where it was seen last; or the database that homes
    share, by its identity and its address.
    """

    home: str
    path: str

    @property
    def is_shared(self) -> bool:
        """Whether homes that share a database share the storage."""
        return self.path.startswith(_SHARED)


_SHARED = "postgresql://"
# What this process has claimed already.
_claimed: set[tuple[Owner, str]] = set()


def claim(home: "PipelineHome", root: str, database: "SharedDatabase | None") -> None:
    """Mark the storage at `root` as that of a home, or of every home that shares its database;
    raises InputError when it is another one's.
    """
    mine = _owner(home, database)
    if (mine, root) in _claimed:
        return
    files = FileTree(root)
    owner = _read(files)
    if owner is None or _may_follow(owner, home, root, mine):
        take_over(home, root, database)
        # Of two that come first at once one has written last.
        owner = _read(files)
    if owner is None or owner.home != mine.home or (owner != mine and not mine.is_shared):
        raise InputError(_refusal(owner, home, root, mine))
    _claimed.add((mine, root))


def take_over(home: "PipelineHome", root: str, database: "SharedDatabase | None") -> None:
    """Make the storage at `root` that of a home, or of the homes that share its database, whosever
    it was.
    """
    content = json.dumps(vars(_owner(home, database))).encode()
    FileTree(root).write(layout.OWNER, content)


def _owner(home: "PipelineHome", database: "SharedDatabase | None") -> Owner:
    if database is None:
        return Owner(home.identity, str(home.path))
    return Owner(database.identity, database.name)


def _may_follow(owner: Owner, home: "PipelineHome", root: str, mine: Owner) -> bool:
    """Whether a storage goes over without a word: to a home that moved, or to the database that a
    home which had nothing to move there shares now.
    """
    if mine.is_shared:
        has_copies = any(FileTree(root).exists(f"{layout.COPIES}/{name}") for name in KEPT)
        return owner == _owner(home, None) and not has_copies
    return owner != mine and owner.home == mine.home and _has_moved(owner, home, root)


def _refusal(owner: Owner | None, home: "PipelineHome", root: str, mine: Owner) -> str:
    take = (
        "If that is gone for good, let this home have the storage: `clustering-pipeline storage "
        "take-over`."
    )
    if owner is not None and owner.is_shared:
        return (
            f"The storage {root} belongs to the homes that share the database {owner.path}, and "
            f"the home {home.path} has "
            f"{'another one, ' + mine.path if mine.is_shared else 'its numbers in files'}. Both "
            "would give the same numbers to different products. Set storage.database to that "
            f"address, or give this home a storage of its own with storage.root. {take}"
        )
    path = owner.path if owner else ""
    if mine.is_shared:
        return (
            f"The storage {root} belongs to the home {path} alone, whose numbers are not in the "
            f"database {mine.path}. Set storage.database there too and copy them with "
            f"`clustering-pipeline storage move-state`. {take}"
        )
    return (
        f"The storage {root} belongs to the home {path}, and this is "
        f"the home {home.path}. Two homes on one storage would give the same numbers to "
        "different products. Give this home a storage of its own with storage.root, or let both "
        f"share a database with storage.database. {take}"
    )


def _read(files: FileTree) -> Owner | None:
    try:
        return Owner(**json.loads(files.read(layout.OWNER)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        files.set_aside(layout.OWNER, str(error))
        return None


def _has_moved(owner: Owner, home: "PipelineHome", root: str) -> bool:
    """Whether a home of the same identity was at another place, instead of being copied from
    there; a copy with its own storage in it is a home of its own.
    """
    before = Path(owner.path) / layout.HOME_IDENTITY
    is_copy = before.exists() and before.read_text(encoding="ascii").strip() == owner.home
    return not is_copy or Path(root).is_relative_to(home.path)
