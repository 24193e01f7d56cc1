"""Categories that are no longer kept up to date, whose history stays."""

from clustering_pipeline.storage import FileTree

FOLDER = "sources"
SUFFIX = ".retired"


class Retirement:
    """A mark beside the record of each category whose catalogue was taken away."""

    def __init__(self, files: FileTree) -> None:
        """`files`: the root of the storage."""
        self.files = files

    def all(self) -> set[str]:
        """Return the retired categories."""
        return {name.removesuffix(SUFFIX) for name in self.files.list(FOLDER, SUFFIX)}

    def retire(self, category: str) -> None:
        """Mark a category as retired."""
        self.files.write(f"{FOLDER}/{category}{SUFFIX}", b"")

    def restore(self, category: str) -> None:
        """Take the mark away; a category without one is fine."""
        self.files.remove(f"{FOLDER}/{category}{SUFFIX}")
