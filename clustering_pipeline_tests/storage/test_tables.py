import pandas as pd
import pyarrow as pa
import pytest

from clustering_pipeline.storage import BlobStore, FeatureTables, FileTree, compute_missing
from clustering_pipeline.storage.feature_tables import TIER_PARTS

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

    rows = compute_missing(table, ["ccc", "bb", "a", "bb"], spy)
    assert asked == ["ccc"]
    assert (table.count.hits, table.count.misses) == (2, 3)
    assert rows.index.tolist() == ["ccc", "bb", "a"]
    assert rows["value"].tolist() == [3, 2, 1]


def test_what_was_yielded_before_a_failure_is_kept(table):
    def dies_at_the_second(keys):
        yield next(lengths(keys))
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        compute_missing(table, ["a", "bb"], dies_at_the_second)
    assert table.read(["a", "bb"]).index.tolist() == ["a"]


def test_parts_that_come_quickly_are_kept_together(table):
    compute_missing(table, ["x" * n for n in range(1, 300)], lengths)
    assert len(table.files.list(table.folder, ".parquet")) == 1


def test_many_parts_are_compacted_without_losing_rows(table):
    keys = ["x" * n for n in range(1, 3 * TIER_PARTS)]
    for frame in lengths(keys):
        table.append(frame)
    assert len(table.files.list(table.folder, ".parquet")) < TIER_PARTS
    assert table.read(keys).loc[keys, "value"].tolist() == [len(key) for key in keys]


def test_a_large_part_is_not_written_anew_for_small_ones(table):
    table.append(
        pd.DataFrame({"key": [f"{number:064}" for number in range(20_000)], "value": range(20_000)})
    )
    (large,) = table.files.list(table.folder, ".parquet")
    for frame in lengths(["x" * n for n in range(1, 2 * TIER_PARTS)]):
        table.append(frame)
    assert large in table.files.list(table.folder, ".parquet")


def test_only_the_columns_that_are_asked_for_are_read(tmp_path):
    schema = pa.schema([("value", pa.int64()), ("weight", pa.float64())])
    table = FeatureTables(str(tmp_path)).table("lengths", "f" * 64, schema)
    table.append(pd.DataFrame({"key": ["a"], "value": [1], "weight": [2.0]}))

    def both(keys):
        yield pd.DataFrame({"key": keys, "value": 3, "weight": 4.0})

    rows = compute_missing(table, ["a", "b"], both, ["weight"])
    assert rows.to_dict() == {"weight": {"a": 2.0, "b": 4.0}}


def test_paths_cannot_leave_the_store(tmp_path):
    with pytest.raises(ValueError, match="leaves"):
        FileTree(str(tmp_path)).read("../secret")


def test_blobs_are_known_by_their_content(tmp_path):
    store = BlobStore(str(tmp_path))
    digest = store.put(b"picture")
    assert store.put(b"picture") == digest
    assert store.get(digest) == b"picture"
    assert not any(path.name.endswith(".partial") for path in tmp_path.rglob("*"))
