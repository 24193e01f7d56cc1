import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.storage import (
    BlobStore,
    FeatureTables,
    FileTree,
    compute_missing,
    feature_tables,
    stream_missing,
)
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
    compute_missing(table, ["x" * n for n in range(1, 20)], lengths)
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


def parts(tmp_path):
    return sorted(path for path in tmp_path.rglob("part-*.parquet"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:40] + bytes([content[40] ^ 1]) + content[41:],
        lambda content: content[:-60] + bytes([content[-60] ^ 1]) + content[-59:],
    ],
    ids=["empty", "truncated", "a bit of the data", "a bit of the footer"],
)
def test_a_damaged_part_is_set_aside_and_its_rows_are_computed_anew(
    table, tmp_path, caplog, damage
):
    compute_missing(table, ["a", "bb"], lengths)
    (part,) = parts(tmp_path)
    part.write_bytes(damage(part.read_bytes()))
    rows = compute_missing(table, ["a", "bb"], lengths)
    assert (rows["value"].tolist(), table.count.hits) == ([1, 2], 0)
    assert part.name in caplog.text and "set aside" in caplog.text
    compute_missing(table, ["a", "bb"], lengths)
    assert table.count.hits == 2


def test_parts_of_earlier_versions_are_read(table, tmp_path):
    compute_missing(table, ["a"], lengths)
    (part,) = parts(tmp_path)
    part.rename(part.with_name("part-0123456789abcdef0123456789abcdef.parquet"))
    compute_missing(table, ["a"], lengths)
    assert table.count.hits == 1


def test_damaged_parts_are_left_out_when_parts_are_joined(table, tmp_path):
    keys = ["x" * n for n in range(1, TIER_PARTS)]
    for frame in lengths(keys):
        table.append(frame)
    parts(tmp_path)[0].write_bytes(b"no part at all" * 30)
    table.append(next(lengths(["y"])))
    assert len(parts(tmp_path)) == 1
    assert len(table.read([*keys, "y"])) == TIER_PARTS - 1


@pytest.mark.parametrize("content", [b"", b"pictur", b"picturE"])
def test_a_blob_that_does_not_hash_to_its_name_is_missing_and_can_be_put_again(
    tmp_path, caplog, content
):
    store = BlobStore(str(tmp_path))
    digest = store.put(b"picture")
    (tmp_path / store.path_of(digest)).write_bytes(content)
    with pytest.raises(StageError, match="damaged"):
        store.get(digest)
    assert digest in caplog.text
    assert not store.has(digest) and store.size(digest) is None
    assert store.get(store.put(b"picture")) == b"picture"


def test_what_is_written_at_once_has_what_was_written_before_on_the_disk(tmp_path, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(descriptor):
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    files = FileTree(str(tmp_path))
    files.write("rows/first", b"1", at_once=False)
    files.write("rows/second", b"2", at_once=False)
    assert synced == []
    files.write("manifest", b"names both")
    assert {str(tmp_path / "rows/first"), str(tmp_path / "rows/second")} <= set(synced)
    assert {str(tmp_path / "rows"), str(tmp_path)} <= set(synced)
    temporary = next(index for index, path in enumerate(synced) if path.endswith(".partial"))
    # The name of a file is on the disk after its bytes.
    assert synced.index(str(tmp_path), temporary) > temporary


def test_what_may_not_be_written_is_said_in_words(tmp_path):
    (tmp_path / "manifests").write_bytes(b"a file where a folder should be")
    with pytest.raises(StageError, match=r"manifests/clusters cannot be written to .*kept"):
        FileTree(str(tmp_path)).write("manifests/clusters", b"rows")


def test_rows_come_in_parts_each_once_and_what_is_missing_after_them(table):
    table.append(*lengths(["a", "bb"]))
    table.append(*lengths(["bb", "ccc"]))
    frames = list(stream_missing(table, ["dddd", "ccc", "a", "bb"], lengths))
    rows = pd.concat(frames)
    assert sorted(rows.index) == ["a", "bb", "ccc", "dddd"] and frames[-1].index.tolist() == [
        "dddd"
    ]
    assert (rows["value"] == rows.index.str.len()).all()
    assert (table.count.hits, table.count.misses) == (3, 1)


def test_parts_that_are_large_are_not_joined(table, monkeypatch):
    monkeypatch.setattr(feature_tables, "_LARGEST_TIER", 1)
    keys = ["x" * n for n in range(1, 2 * TIER_PARTS)]
    for frame in lengths(keys):
        table.append(frame)
    assert len(table.files.list(table.folder, ".parquet")) == len(keys)
    assert table.read(keys).loc[keys, "value"].tolist() == [len(key) for key in keys]
