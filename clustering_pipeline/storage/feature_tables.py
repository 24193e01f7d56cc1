"""Cached results, one row per input content hash, one table per stage fingerprint.

A table is a folder of immutable Parquet parts, each named after the hash of its bytes, written
beside and renamed, read as their union. A part that is damaged is set aside; its rows are computed
again. Two writers never touch the same file; a row written twice is the same row. Parts of like
size are joined once there are many of them, so that each row is written again a few times only,
however large its table grows (O'Neil et al., "The log-structured merge-tree", 1996).
"""

import hashlib
import io
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clustering_pipeline.core.engine import let_others_read
from clustering_pipeline.core.progress import CacheCount
from clustering_pipeline.storage.files import PENDING, FileTree

KEY = "key"
_PART, _SUFFIX = "part-", ".parquet"
# So many parts of one size class are joined; each class holds parts up to so many times larger than
# the class before.
TIER_PARTS = 16
# Parts from this class on, 16 MB and more, are left: joining them would take gigabytes of memory.
_LARGEST_TIER = 6
# What is computed is kept at least so often, in seconds, and as soon as there are so many rows.
_KEEP_EVERY, _KEEP_ROWS = 2.0, 4096
_STREAMED_ROWS = 16_384


def part_name(content: bytes) -> str:
    """Return the name of a part with these bytes."""
    return f"{_PART}{hashlib.sha256(content).hexdigest()}{_SUFFIX}"


def _is_damaged(name: str, content: bytes) -> bool:
    # Parts of earlier versions have a shorter name, which says nothing of their bytes.
    is_named_by_hash = len(name) == len(_PART) + 64 + len(_SUFFIX)
    return is_named_by_hash and name != part_name(content)


class FeatureTable:
    """The cached rows of one stage under one fingerprint; column `key` (string) is the input's
    content hash.
    """

    def __init__(
        self, files: FileTree, folder: str, schema: pa.Schema, count: CacheCount | None = None
    ) -> None:
        """`schema`: the columns of a row besides `key`; `count` is told what was asked and held."""
        self.files = files
        self.count = count or CacheCount()
        self.folder = folder
        self.schema = schema.insert(0, pa.field(KEY, pa.string(), nullable=False))

    def read(self, keys: Sequence[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the held rows among `keys`, at most one per key, indexed by key; all columns
        unless some are named.
        """
        names = self.schema.names if columns is None else [KEY, *columns]
        wanted = pa.array(list(dict.fromkeys(keys)), pa.string())
        parts = [part.filter(pc.is_in(part[KEY], value_set=wanted)) for part in self._parts(names)]
        table = pa.concat_tables(parts) if parts else self.schema.empty_table().select(names)
        frame: pd.DataFrame = table.to_pandas()
        return frame.drop_duplicates(KEY).set_index(KEY)

    def stream(
        self, keys: Sequence[str], columns: Sequence[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the rows that `read` returns, a part of the table at a time."""
        names = self.schema.names if columns is None else [KEY, *columns]
        wanted = pa.array(list(dict.fromkeys(keys)), pa.string())
        earlier: set[str] = set()
        for part in self._parts(names):
            table = part.filter(pc.is_in(part[KEY], value_set=wanted))
            for start in range(0, len(table), _STREAMED_ROWS):
                frame: pd.DataFrame = table.slice(start, _STREAMED_ROWS).to_pandas()
                fresh = frame[~frame[KEY].isin(earlier)].drop_duplicates(KEY).set_index(KEY)
                earlier.update(fresh.index)
                yield fresh

    def append(self, *frames: pd.DataFrame) -> None:
        """Add the rows of frames, which have the column `key` and the schema's columns, as one new
        immutable part.
        """
        tables = [self._table(frame) for frame in frames if len(frame)]
        if tables:
            let_others_read()
            self._write(pa.concat_tables(tables))
            self._compact()

    def _table(self, frame: pd.DataFrame) -> pa.Table:
        return pa.Table.from_pandas(
            frame[self.schema.names], schema=self.schema, preserve_index=False
        )

    def _compact(self) -> None:
        """Join the parts of every size class that has many; parts that others add meanwhile stay as
        they are.
        """
        classes = defaultdict(list)
        for name, size in self.files.sizes(self.folder, ".parquet").items():
            classes[int(math.log(max(size, 1), TIER_PARTS))].append(name)
        for tier, names in classes.items():
            if len(names) >= TIER_PARTS and tier < _LARGEST_TIER:
                self._join(sorted(names))

    def _join(self, names: Sequence[str]) -> None:
        parts = list(self._read_held(names, self.schema.names))
        joined = self._write(pa.concat_tables(parts)) if parts else None
        PENDING.commit()
        for name in names:
            if name != joined:
                self.files.remove(f"{self.folder}/{name}")

    def _parts(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        return self._read_held(self.files.list(self.folder, ".parquet"), columns)

    def _read_held(self, names: Sequence[str], columns: Sequence[str]) -> Iterator[pa.Table]:
        for name in names:
            try:
                content = self.files.read(f"{self.folder}/{name}")
            except FileNotFoundError:
                # Another writer compacted it meanwhile; at worst its rows are computed once more.
                continue
            path = f"{self.folder}/{name}"
            if _is_damaged(name, content):
                self.files.set_aside(path, "its bytes do not hash to its name")
                continue
            try:
                yield pq.read_table(io.BytesIO(content), schema=self.schema, columns=list(columns))
            except (pa.ArrowException, OSError) as error:
                self.files.set_aside(path, str(error))

    def _write(self, table: pa.Table) -> str:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        content = buffer.getvalue()
        name = part_name(content)
        self.files.write(f"{self.folder}/{name}", content, at_once=False)
        return name


class FeatureTables:
    """Opens the feature tables below one root."""

    def __init__(self, root: str) -> None:
        """`root`: a folder or an fsspec URL."""
        self.files = FileTree(root)
        self.count = CacheCount()

    def table(self, stage: str, fingerprint: str, schema: pa.Schema) -> FeatureTable:
        """Return the table of `stage` under `fingerprint`, whose rows have the columns of `schema`
        besides `key`.
        """
        return FeatureTable(self.files, f"{stage}/{fingerprint[:24]}", schema, self.count)


def compute_missing(
    table: FeatureTable,
    keys: Iterable[str],
    compute: Callable[[list[str]], Iterator[pd.DataFrame]],
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return one row per distinct key (indexed by key, in order of first appearance); the table
    counts how many of them it held.

    `compute` gets the missing keys and yields frames with a `key` column; each is kept within
    seconds, and when `compute` fails, so that a killed run goes on where it stopped. `columns`:
    those that are returned, all by default.
    """
    distinct = list(dict.fromkeys(keys))
    rows = pd.concat([*stream_missing(table, distinct, compute, columns, whole=True)])
    return rows.loc[distinct]


def stream_missing(
    table: FeatureTable,
    keys: Iterable[str],
    compute: Callable[[list[str]], Iterator[pd.DataFrame]],
    columns: Sequence[str] | None = None,
    *,
    whole: bool = False,
) -> Iterator[pd.DataFrame]:
    """Yield what `compute_missing` returns in frames, a part of the table or a computed one at a
    time and in no order; with `whole` all that is held comes as one frame.
    """
    distinct = list(dict.fromkeys(keys))
    cached_keys: set[str] = set()
    cached = [table.read(distinct, columns)] if whole else table.stream(distinct, columns)
    for frame in cached:
        cached_keys.update(frame.index)
        yield frame
    table.count.add(len(distinct), len(cached_keys))
    for frame in _kept_in_time(table, compute([key for key in distinct if key not in cached_keys])):
        row = frame.set_index(KEY)
        yield row if columns is None else row[list(columns)]


def _kept_in_time(table: FeatureTable, computed: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield the computed frames and append them to the table, several at a time where they come
    quickly.
    """
    waiting: list[pd.DataFrame] = []
    since = time.monotonic()
    try:
        for frame in computed:
            waiting.append(frame)
            if time.monotonic() - since >= _KEEP_EVERY or sum(map(len, waiting)) >= _KEEP_ROWS:
                table.append(*waiting)
                waiting.clear()
                since = time.monotonic()
            yield frame
    finally:
        table.append(*waiting)
