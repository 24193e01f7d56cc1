"""The manifests that the assets returned last: one Parquet file per asset and category."""

import hashlib
import json
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clustering_pipeline.core.engine import let_others_read
from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.manifests import (
    MANIFESTS,
    Manifest,
    to_frame,
    to_table,
    with_later_columns,
    write_parquet,
)
from clustering_pipeline.core.progress import Facts, current_name
from clustering_pipeline.storage.blobs import join_all
from clustering_pipeline.storage.files import FileTree


class ManifestStore:
    """Reads and writes manifests by asset name (`clusters`, `settings/clusters`) and category."""

    def __init__(self, files: FileTree) -> None:
        """`files`: the folder `manifests` of a storage."""
        self.files = files

    def write(
        self, asset: str, category: str | None, frame: pd.DataFrame, manifest: Manifest
    ) -> None:
        """Replace the manifest of an asset; raises ValueError when the frame does not fit its
        schema.
        """
        let_others_read()
        join_all()
        self.files.write(self.path_of(asset, category), write_parquet(to_table(frame, manifest)))

    def read(self, asset: str, category: str | None) -> pd.DataFrame | None:
        """Return the manifest of an asset, None when there is none; columns that an earlier version
        did not write have no values.

        Raises StageError when it is damaged; it is set aside then.
        """
        path = self.path_of(asset, category)
        try:
            table = pq.read_table(pa.BufferReader(self.files.read(path)))
            if asset in MANIFESTS:
                table = with_later_columns(table, MANIFESTS[asset])
            return to_frame(table)
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            self.files.set_aside(path, str(error))
            raise StageError(
                f"The manifest {path} in {self.files.root} was damaged ({error}) and has been set "
                f"aside. Run the category {category} again: `{asset}` is made again."
            ) from error

    def set_aside(self, asset: str, category: str, why: str) -> None:
        """Take a manifest that is wrong out of the way, so that its asset is made again."""
        self.files.set_aside(self.path_of(asset, category), why)

    def is_gone(self, asset: str, category: str) -> bool:
        """Whether a folder of this machine has no manifest of an asset and category; an object
        store, where asking takes long, loses none.
        """
        return self.files.is_local and not self.files.exists(self.path_of(asset, category))

    def write_facts(self, asset: str, category: str | None, facts: Facts) -> None:
        """Keep the figures of the run that wrote the manifest."""
        content = json.dumps(dict(facts), ensure_ascii=False, sort_keys=True).encode()
        self.files.write(self.path_of(asset, category, ".facts.json"), content, at_once=False)

    def read_facts(self, asset: str, category: str | None) -> Facts:
        """Return the figures of the run that wrote the manifest; empty when there are none."""
        try:
            facts = json.loads(self.files.read(self.path_of(asset, category, ".facts.json")))
            return {current_name(name): fact for name, fact in facts.items()}
        except (FileNotFoundError, ValueError):
            return {}

    def version(self, asset: str, category: str | None) -> str | None:
        """Return the sha256 of a manifest's file, None when there is none."""
        try:
            return hashlib.sha256(self.files.read(self.path_of(asset, category))).hexdigest()
        except FileNotFoundError:
            return None

    def categories(self, asset: str = "catalogue") -> list[str]:
        """Return the categories that have a manifest of `asset`."""
        return [name.removesuffix(".parquet") for name in self.files.list(asset, ".parquet")]

    def forget(self, category: str) -> None:
        """Remove all manifests of a category, and the figures beside them."""
        base = self.files.location("_").rsplit("/", 1)[0]
        names = {self.path_of("_", category, suffix)[2:] for suffix in (".parquet", ".facts.json")}
        filesystem = self.files.filesystem
        for path in filesystem.find(base) if filesystem.exists(base) else ():
            if str(path).rsplit("/", 1)[-1] in names:
                filesystem.rm(path)

    @staticmethod
    def path_of(asset: str, category: str | None, suffix: str = ".parquet") -> str:
        """Return the path of a manifest; whatever the names are, it stays inside the folder."""
        parts = asset.split("/") if category is None else [*asset.split("/"), category]
        return "/".join(quote(part, safe="").replace(".", "%2E") for part in parts) + suffix
