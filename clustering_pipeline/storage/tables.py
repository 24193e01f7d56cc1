"""Cached results, one row per input content hash, one table per stage fingerprint.

A table is a folder of immutable Parquet parts, each written beside and renamed, read as their union. Two writers never
touch the same file; a row written twice is the same row.
"""

import io
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clustering_pipeline.storage.files import FileTree

KEY = "key"
COMPACT_ABOVE_PARTS = 32


class FeatureTable:
    """The cached rows of one stage under one fingerprint; column `key` (string) is the input's content hash."""

    def __init__(self, files: FileTree, folder: str, schema: pa.Schema) -> None:
        """`schema`: the columns of a row besides `key`."""
        self.files = files
        self.folder = folder
        self.schema = schema.insert(0, pa.field(KEY, pa.string(), nullable=False))

    def read(self, keys: Sequence[str]) -> pd.DataFrame:
        """Return the held rows among `keys`, at most one per key, indexed by key."""
        wanted = pa.array(list(dict.fromkeys(keys)), pa.string())
        found = [part.filter(pc.is_in(part[KEY], value_set=wanted)) for part in self._parts()]
        table = pa.concat_tables(found) if found else self.schema.empty_table()
        frame: pd.DataFrame = table.to_pandas()
        return frame.drop_duplicates(KEY).set_index(KEY)

    def append(self, frame: pd.DataFrame) -> None:
        """Add rows with the column `key` and the schema's columns as a new immutable part."""
        if len(frame) == 0:
            return
        self._write(pa.Table.from_pandas(frame[self.schema.names], schema=self.schema, preserve_index=False))
        names = self.files.list(self.folder, ".parquet")
        if len(names) > COMPACT_ABOVE_PARTS:
            self.compact(names)

    def compact(self, names: Sequence[str]) -> None:
        """Join the parts `names` into one; parts that others add meanwhile stay as they are."""
        merged = pa.concat_tables(self._read_part(name) for name in names)
        self._write(merged)
        for name in names:
            self.files.remove(f"{self.folder}/{name}")

    def _parts(self) -> Iterator[pa.Table]:
        for name in self.files.list(self.folder, ".parquet"):
            try:
                yield self._read_part(name)
            except FileNotFoundError:
                # Another writer compacted it meanwhile; at worst its rows are computed once more.
                continue

    def _read_part(self, name: str) -> pa.Table:
        return pq.read_table(io.BytesIO(self.files.read(f"{self.folder}/{name}")), schema=self.schema)

    def _write(self, table: pa.Table) -> None:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        self.files.write(f"{self.folder}/part-{uuid.uuid4().hex}.parquet", buffer.getvalue())


class FeatureTables:
    """Opens the feature tables below one root."""

    def __init__(self, root: str) -> None:
        """`root`: a folder or an fsspec URL."""
        self.files = FileTree(root)

    def table(self, stage: str, fingerprint: str, schema: pa.Schema) -> FeatureTable:
        """Return the table of `stage` under `fingerprint`, whose rows have the columns of `schema` besides `key`."""
        return FeatureTable(self.files, f"{stage}/{fingerprint[:24]}", schema)


def compute_missing(
    table: FeatureTable, keys: Iterable[str], compute: Callable[[list[str]], Iterator[pd.DataFrame]]
) -> tuple[pd.DataFrame, int]:
    """Return one row per distinct key (indexed by key, in order of first appearance) and how many came from the cache.

    `compute` gets the missing keys and yields frames with a `key` column; each is kept as soon as it is yielded, so that
    a killed run goes on where it stopped.
    """
    distinct = list(dict.fromkeys(keys))
    held = table.read(distinct)
    known = set(held.index)
    fresh = []
    for frame in compute([key for key in distinct if key not in known]):
        table.append(frame)
        fresh.append(frame.set_index(KEY))
    rows = pd.concat([held, *fresh]) if fresh else held
    return rows.loc[distinct], len(held)
