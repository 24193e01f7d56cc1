"""Bytes under their sha256: a file each in a folder, shards of many in an object store."""

import hashlib
from collections.abc import Collection
from contextlib import suppress

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.storage.files import FileTree
from clustering_pipeline.storage.shards import Shards, shards_of


class BlobStore:
    """Keeps bytes under their sha256: files in 256 folders named after its first two digits, or the
    shards of an object store.
    """

    def __init__(self, root: str) -> None:
        """`root`: a folder or an fsspec URL."""
        self.files = FileTree(root)

    def put(self, content: bytes) -> str:
        """Store `content` once and return its sha256 in hexadecimal.

        In an object store it may wait for its shard, which is put before anything names it.
        """
        digest = hashlib.sha256(content).hexdigest()
        if self._shards:
            self._shards.put(digest, content)
        elif self.size(digest) != len(content):
            self.files.write(self.path_of(digest), content, at_once=False)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes of `digest`; raises StageError when they are not held, or damaged.

        Bytes that do not hash to their name are set aside.
        """
        shards = self._shards
        content = shards.get(digest, patiently=False) if shards else None
        if content is None:
            content = self._file(digest)
        if content is None and shards:
            content = shards.get(digest)
        if content is None:
            raise StageError(
                f"The stored bytes {digest[:12]}… are missing from {self.files.root}, or were "
                "damaged. Run the category again: they are fetched or computed again."
            )
        return content

    def has(self, digest: str) -> bool:
        """Whether there are bytes under `digest`."""
        return self.size(digest) is not None

    def size(self, digest: str) -> int | None:
        """Return how many bytes there are under `digest`, None when there are none."""
        in_shard = self._shards.size(digest) if self._shards else None
        return self.files.size(self.path_of(digest)) if in_shard is None else in_shard

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every blob by digest."""
        stored = self._shards.sizes() if self._shards else {}
        base = self.files.location("_").rsplit("/", 1)[0]
        if not self.files.filesystem.exists(base):
            return stored
        for path, entry in self.files.filesystem.find(base, detail=True).items():
            folder, _, name = str(path).removeprefix(f"{base}/").rpartition("/")
            if folder == name[:2] and len(name) == 64:
                stored[name] = int(entry["size"])
        return stored

    def remove(self, digests: Collection[str]) -> None:
        """Remove blobs; those that are missing are fine."""
        for digest in digests:
            self.files.remove(self.path_of(digest))
        if self._shards:
            self._shards.remove(digests)
            self._shards.join(whole=True)

    @staticmethod
    def path_of(digest: str) -> str:
        """Return the path of `digest` below the store's root, where it is a file of its own."""
        return f"{digest[:2]}/{digest}"

    @property
    def _shards(self) -> Shards | None:
        return shards_of(self.files.root) if self.files.is_object_store else None

    def _file(self, digest: str) -> bytes | None:
        path = self.path_of(digest)
        with suppress(FileNotFoundError):
            content = self.files.read(path)
            if hashlib.sha256(content).hexdigest() == digest:
                return content
            self.files.set_aside(path, f"{len(content):,} bytes that do not hash to its name")
        return None
