"""Whose storage it is: two homes on one would give the same numbers to different products."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.storage import FileTree, layout

if TYPE_CHECKING:
    from clustering_pipeline.project.project import PipelineHome


@dataclass(frozen=True)
class Owner:
    """The home that a storage belongs to, and where it was seen last."""

    home: str
    path: str


# What this process has claimed already.
_claimed: set[tuple[Owner, str]] = set()


def claim(home: "PipelineHome", root: str) -> None:
    """Mark the storage at `root` as that of a home; raises InputError when it is another one's."""
    mine = Owner(home.identity, str(home.path))
    if (mine, root) in _claimed:
        return
    files = FileTree(root)
    owner = _read(files)
    if owner is None or (
        owner != mine and owner.home == mine.home and _has_moved(owner, home, root)
    ):
        take_over(home, root)
        # Of two that come first at once one has written last.
        owner = _read(files)
    if owner != mine:
        raise InputError(
            f"The storage {root} belongs to the home {owner.path if owner else ''}, and this is "
            f"the home {home.path}. Two homes on one storage would give the same numbers to "
            "different products. Give this home a storage of its own with storage.root. If the "
            "other home is gone for good, let this one have it: `clustering-pipeline storage "
            "take-over`. Several people may share one home, and its corrections by PostgreSQL."
        )
    _claimed.add((mine, root))


def take_over(home: "PipelineHome", root: str) -> None:
    """Make the storage at `root` that of a home, whosever it was."""
    content = json.dumps({"home": home.identity, "path": str(home.path)}).encode()
    FileTree(root).write(layout.OWNER, content)


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
