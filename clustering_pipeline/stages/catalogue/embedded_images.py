"""Pictures that come with a catalogue, in a folder or in its cells, taken into the store so that
what is read later is what was there when the run began.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.stages.catalogue.formats.sheets import WorkbookPackage
from clustering_pipeline.storage import BlobStore

PICTURE_SUFFIXES = {
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".avif",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
}
MAX_PICTURES = 500_000
MAX_PICTURE_BYTES = 64 * 2**20
DIGEST_MARK = "#sha256="
DIGEST_DIGITS = hashlib.sha256().digest_size * 2


def store_folder(folder: Path, blobs: BlobStore) -> bytes:
    """Store every picture below `folder` and return the listing: JSON of relative path to sha256.

    Links that lead out of the folder are left out, as are hidden files and files over 64 MB.
    Raises InputError when the folder cannot be read or holds no picture.
    """
    root = folder.resolve()
    pictures = {
        path: blobs.put((root / path).read_bytes()) for path in sorted(_picture_paths(root))
    }
    if not pictures:
        raise InputError(
            f"The folder {folder} holds no picture ({', '.join(sorted(PICTURE_SUFFIXES))}). Give "
            "the folder that has them; pictures in its subfolders count."
        )
    return json.dumps(pictures, ensure_ascii=False, sort_keys=True).encode()


def _picture_paths(root: Path) -> Iterator[str]:
    count = 0
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if _is_picture(path, root):
                count += 1
                if count > MAX_PICTURES:
                    raise InputError(
                        f"{root} holds more than {MAX_PICTURES:,} pictures. Give a folder nearer "
                        f"to them."
                    )
                yield path.relative_to(root).as_posix()


def _is_picture(path: Path, root: Path) -> bool:
    if path.name.startswith(".") or path.suffix.lower() not in PICTURE_SUFFIXES:
        return False
    real = path.resolve()
    return real.is_file() and real.is_relative_to(root) and real.stat().st_size <= MAX_PICTURE_BYTES


class PictureListing:
    """The pictures of a stored folder, found by the path a cell names."""

    def __init__(self, listing: bytes) -> None:
        """`listing`: what `store_folder` returned."""
        self.digests: dict[str, str] = json.loads(listing)

    def url(self, path: str) -> str:
        """Return the address of a picture: its path and the digest of its bytes."""
        return _address(path, self.digests[path])

    def find(self, text: str) -> str | None:
        """Return the address of the picture that a cell names relative to the folder, or None when
        there is none.
        """
        path = PurePosixPath(
            text.strip().removeprefix("file:").replace("\\", "/").removeprefix("./")
        ).as_posix()
        return self.url(path) if path in self.digests else None


def _address(path: str, digest: str) -> str:
    return f"file:{path}{DIGEST_MARK}{digest}"


class CellPictures:
    """The pictures that lie in the cells of one workbook, stored as far as cells of a listing show
    them.
    """

    def __init__(self, package: WorkbookPackage, keep: Callable[[bytes], str]) -> None:
        """`keep`: stores bytes and returns their sha256."""
        self._package, self._keep = package, keep
        self._addresses: dict[str, str | None] = {}

    def url(self, part: str) -> str | None:
        """Return the address of the picture in a part of the workbook; None when there is none, or
        one over 64 MB.
        """
        if part not in self._addresses:
            is_usable = 0 < self._package.size(part) <= MAX_PICTURE_BYTES
            self._addresses[part] = (
                _address(part, self._keep(self._package.read(part))) if is_usable else None
            )
        return self._addresses[part]

    def __len__(self) -> int:
        """How many pictures were asked for."""
        return sum(address is not None for address in self._addresses.values())


def digest(content: bytes) -> str:
    """Return the sha256 in hexadecimal: what keeping bytes gives, without keeping them."""
    return hashlib.sha256(content).hexdigest()


def folder_paths(content: bytes) -> list[str] | None:
    """Return the paths in a folder's listing, sorted; None when the bytes are no such listing."""
    if not content.startswith(b"{"):
        return None
    try:
        listing = json.loads(content)
    except ValueError:
        return None
    return sorted(listing) if all(is_digest(digest) for digest in listing.values()) else None


def is_digest(text: object) -> bool:
    """Whether a text is a sha256 in hexadecimal."""
    return (
        isinstance(text, str)
        and len(text) == DIGEST_DIGITS
        and set(text) <= set("0123456789abcdef")
    )


def stored_picture(url: str) -> str | None:
    """Return the sha256 of the stored bytes that a `file:` address of a catalogue stands for, or
    None for any other URL.
    """
    path, mark, digest = url.rpartition(DIGEST_MARK)
    return digest if path.startswith("file:") and mark and is_digest(digest) else None
