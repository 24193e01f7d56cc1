"""Whole files and bytes under their sha256, on any fsspec file system."""

import errno
import hashlib
import uuid
from pathlib import PurePosixPath

import fsspec
from fsspec.implementations.local import LocalFileSystem

from clustering_pipeline.core.errors import StageError


class FileTree:
    """Reads and writes whole files under one root; a write lands under a temporary name and is
    renamed.
    """

    def __init__(self, root: str) -> None:
        """`root`: a folder or an fsspec URL such as `s3://bucket/prefix`."""
        self.root = str(root).rstrip("/")
        self.filesystem, self._base = fsspec.core.url_to_fs(self.root)

    def location(self, path: str) -> str:
        """Return the file system's own name of `path`; raises ValueError when it would leave the
        root.
        """
        relative = PurePosixPath(path)
        if relative.is_absolute() or ".." in relative.parts:
            raise ValueError(f"{path!r} leaves the storage folder")
        return f"{self._base}/{relative}"

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return isinstance(self.filesystem, LocalFileSystem)

    def address(self, path: str) -> str:
        """Return where `path` is in words for people: a path on this machine, else a URL with its
        protocol.
        """
        location = self.location(path)
        return location if self.is_local else str(self.filesystem.unstrip_protocol(location))

    def exists(self, path: str) -> bool:
        """Whether a file or folder is at `path`."""
        return bool(self.filesystem.exists(self.location(path)))

    def read(self, path: str) -> bytes:
        """Return the bytes at `path`; raises FileNotFoundError."""
        with self.filesystem.open(self.location(path), "rb") as file:
            return bytes(file.read())

    def write(self, path: str, content: bytes) -> None:
        """Put `content` at `path`, replacing what was there at once; raises StageError when the
        disk is full.
        """
        target = self.location(path)
        parent, name = target.rsplit("/", 1)
        temporary = f"{parent}/.{name}.{uuid.uuid4().hex}.partial"
        try:
            self._write_in_folder(parent, temporary, content)
            self.filesystem.mv(temporary, target)
        except OSError as error:
            self._remove_quietly(temporary)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StageError(
                    f"No space is left for {self.root} while writing {path}. What was done is "
                    "kept: free some space, or set storage.root to a larger disk, and run again."
                ) from error
            raise

    def _write_in_folder(self, folder: str, location: str, content: bytes) -> None:
        try:
            self.filesystem.pipe_file(location, content)
        except FileNotFoundError:
            # Most writes find their folder there, and asking first would cost as much as the write.
            self.filesystem.makedirs(folder, exist_ok=True)
            self.filesystem.pipe_file(location, content)

    def list(self, folder: str, suffix: str = "") -> list[str]:
        """Return the sorted names of the finished files directly in `folder` that end with
        `suffix`.
        """
        return sorted(self.sizes(folder, suffix))

    def sizes(self, folder: str, suffix: str = "") -> dict[str, int]:
        """Return the bytes of each finished file directly in `folder` that ends with `suffix`, by
        name.
        """
        location = self.location(folder)
        if not self.filesystem.exists(location):
            return {}
        entries = (
            (str(e["name"]).rstrip("/").rsplit("/", 1)[-1], e["size"])
            for e in self.filesystem.ls(location, detail=True)
        )
        return {
            name: int(size or 0)
            for name, size in entries
            if name.endswith(suffix) and not name.startswith(".")
        }

    def remove(self, path: str) -> None:
        """Remove the file at `path`; a missing one is fine."""
        if self.exists(path):
            self.filesystem.rm(self.location(path))

    def _remove_quietly(self, location: str) -> None:
        if self.filesystem.exists(location):
            self.filesystem.rm(location)


class BlobStore:
    """Keeps bytes under their sha256, in 256 folders named after its first two digits."""

    def __init__(self, root: str) -> None:
        """`root`: a folder or an fsspec URL."""
        self.files = FileTree(root)

    def put(self, content: bytes) -> str:
        """Store `content` once and return its sha256 in hexadecimal."""
        digest = hashlib.sha256(content).hexdigest()
        path = self.path_of(digest)
        if not self.files.exists(path):
            self.files.write(path, content)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes of `digest`; raises StageError when they are not held."""
        try:
            return self.files.read(self.path_of(digest))
        except FileNotFoundError as error:
            raise StageError(
                f"The stored bytes {digest[:12]}… are missing from {self.files.root}. Run the "
                "category again with --force to fetch and compute them again."
            ) from error

    def has(self, digest: str) -> bool:
        """Whether the bytes of `digest` are held."""
        return self.files.exists(self.path_of(digest))

    @staticmethod
    def path_of(digest: str) -> str:
        """Return the path of `digest` below the store's root."""
        return f"{digest[:2]}/{digest}"
