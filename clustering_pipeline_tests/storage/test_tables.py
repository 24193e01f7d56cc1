import pandas as pd
import pyarrow as pa
import pytest

from clustering_pipeline.storage import BlobStore, FeatureTables, FileTree, compute_missing
from clustering_pipeline.storage.tables import COMPACT_ABOVE_PARTS

SCHEMA = pa.schema([("value", pa.int64())])


@pytest.fixture
def table(tmp_path):
    return FeatureTables(str(tmp_path)).table("lengths", "f" * 64, SCHEMA)


def lengths(keys):
    for key in keys:
        yield pd.DataFrame({"key": [key], "value": [len(key)]})


def test_only_missing_keys_are_computed(table):
    compute_missing(table, ["a", "bb"], lengths)
    asked = []

    def spy(keys):
        asked.extend(keys)
        return lengths(keys)

    rows, hits = compute_missing(table, ["ccc", "bb", "a", "bb"], spy)
    assert asked == ["ccc"]
    assert hits == 2
    assert rows.index.tolist() == ["ccc", "bb", "a"]
    assert rows["value"].tolist() == [3, 2, 1]


def test_what_was_yielded_before_a_failure_is_kept(table):
    def dies_at_the_second(keys):
        yield next(lengths(keys))
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        compute_missing(table, ["a", "bb"], dies_at_the_second)
    assert table.read(["a", "bb"]).index.tolist() == ["a"]


def test_many_parts_are_compacted_without_losing_rows(table):
    keys = ["x" * n for n in range(1, COMPACT_ABOVE_PARTS + 5)]
    for frame in lengths(keys):
        table.append(frame)
    assert len(table.files.list(table.folder, ".parquet")) <= COMPACT_ABOVE_PARTS
    assert table.read(keys).loc[keys, "value"].tolist() == [len(key) for key in keys]


def test_paths_cannot_leave_the_store(tmp_path):
    with pytest.raises(ValueError, match="leaves"):
        FileTree(str(tmp_path)).read("../secret")


def test_blobs_are_known_by_their_content(tmp_path):
    store = BlobStore(str(tmp_path))
    digest = store.put(b"picture")
    assert store.put(b"picture") == digest
    assert store.get(digest) == b"picture"
    assert not any(path.name.endswith(".partial") for path in tmp_path.rglob("*"))
