"""Bytes known by their sha256."""

import hashlib

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.storage.files import FileTree


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
                "category again with --force to fetch and compute them anew."
            ) from error

    def has(self, digest: str) -> bool:
        """Whether the bytes of `digest` are held."""
        return self.files.exists(self.path_of(digest))

    @staticmethod
    def path_of(digest: str) -> str:
        """Return the path of `digest` below the store's root."""
        return f"{digest[:2]}/{digest}"
