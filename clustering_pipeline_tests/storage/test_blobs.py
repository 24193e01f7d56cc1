"""Blobs in an object store: shards, writers beside each other, uploads that fail, listings that
come late, damage, joining, the cache.
"""

import hashlib
import io
import os
import tarfile
import threading
import time
from functools import partial

import fsspec
import pytest

from clustering_pipeline.core.engine import LocalEngine, let_others_read
from clustering_pipeline.core.errors import StageError
from clustering_pipeline.storage import BlobStore, FileTree
from clustering_pipeline.storage.blobs import (
    FOLDER,
    HOLES,
    SHARD_BYTES,
    BlobCache,
    Shards,
    pack_shard,
    shard_name,
    shards_of,
)
from clustering_pipeline_tests.storage.buckets import loopback_bucket


def blob(number, size=1000):
    return f"{number} ".encode() * (size // 4)


def digest_of(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store in memory, which has whole objects and no rename, as object stores do."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shards_of.cache_clear()
    fsspec.filesystem("memory").store.clear()
    yield BlobStore("memory://shop/blobs")
    fsspec.filesystem("memory").store.clear()


def another(tmp_path, name="other", tree=FileTree):
    """The same store as another machine knows it."""
    return Shards(tree("memory://shop/blobs"), BlobCache(tmp_path / name))


def shards_in(store):
    return store.files.list(FOLDER)


def test_many_small_blobs_become_one_object_that_tar_reads(store):
    blobs = {store.put(blob(number)): blob(number) for number in range(200)}
    assert shards_in(store) == []
    let_others_read()
    [shard] = shards_in(store)
    content = store.files.read(f"{FOLDER}/{shard}")
    assert shard == shard_name(content)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}
    assert members.pop("index.txt")
    assert members == blobs
    assert store.sizes() == {digest: len(content) for digest, content in blobs.items()}


def test_a_full_shard_is_put_by_itself(store):
    for number in range(3):
        store.put(os.urandom(SHARD_BYTES // 2) + bytes([number]))
    assert len(shards_in(store)) == 1


def test_another_machine_reads_single_blobs_by_range(store, tmp_path, monkeypatch):
    digests = [store.put(blob(number, 100_000)) for number in range(20)]
    let_others_read()
    reader, parts = another(tmp_path), []
    read_part = reader.files.read_part

    def noted(path, start, end):
        parts.append(end - start)
        return read_part(path, start, end)

    monkeypatch.setattr(reader.files, "read_part", noted)
    monkeypatch.setattr(reader.files, "read", None)
    assert reader.get(digests[7]) == blob(7, 100_000)
    assert parts[-1] == len(blob(7, 100_000))
    assert sum(parts) < 3 * 100_000
    assert reader.get(digests[7]) == blob(7, 100_000)
    assert len(parts) == 2


def test_what_is_put_twice_is_there_once(store, tmp_path):
    store.put(b"once")
    store.put(b"once")
    let_others_read()
    store.put(b"once")
    other = another(tmp_path)
    other.put(digest_of(b"once"), b"once")
    other.flush()
    assert len(shards_in(store)) == 1


def test_a_blob_that_nobody_has_is_told_in_words(store, monkeypatch):
    monkeypatch.setattr("clustering_pipeline.storage.blobs.LISTING_SECONDS", 0.1)
    with pytest.raises(StageError, match="Run the category again"):
        store.get("0" * 64)
    assert not store.has("0" * 64)


def test_blobs_that_were_files_of_their_own_are_still_read(store):
    digest = digest_of(b"of an earlier version")
    store.files.write(store.path_of(digest), b"of an earlier version")
    assert store.has(digest)
    assert store.get(digest) == b"of an earlier version"
    assert store.sizes() == {digest: 21}


class LateTree(FileTree):
    """A tree whose listings show a file only some time after it was written."""

    seen: dict[str, float]

    def sizes(self, folder, suffix=""):
        self.__dict__.setdefault("seen", {})
        found = super().sizes(folder, suffix)
        now = time.monotonic()
        return {
            name: size
            for name, size in found.items()
            if now - self.seen.setdefault(name, now) > 0.5
        }


def test_a_listing_that_comes_late_is_waited_for(store, tmp_path):
    reader = another(tmp_path, tree=LateTree)
    assert reader.size(digest_of(b"late")) is None
    store.put(b"late")
    let_others_read()
    assert reader.get(digest_of(b"late")) == b"late"


def test_a_damaged_blob_is_taken_out_and_can_be_put_again(store, tmp_path):
    digests = [store.put(blob(number)) for number in range(3)]
    let_others_read()
    [shard] = shards_in(store)
    content = bytearray(store.files.read(f"{FOLDER}/{shard}"))
    place = content.index(blob(1))
    content[place] ^= 1
    store.files.write(f"{FOLDER}/{shard}", bytes(content))
    reader = another(tmp_path)
    assert reader.get(digests[1]) is None
    assert [reader.get(digest) for digest in (digests[0], digests[2])] == [blob(0), blob(2)]
    later = another(tmp_path, "later")
    assert later.size(digests[1]) is None
    later.put(digests[1], blob(1))
    later.flush()
    assert another(tmp_path, "last").get(digests[1]) == blob(1)


def test_small_shards_are_joined_and_readers_of_the_old_ones_go_on(store, tmp_path):
    digests = []
    for number in range(80):
        digests.append(store.put(blob(number)))
        let_others_read()
    reader = another(tmp_path)
    assert reader.get(digests[0]) == blob(0)
    assert len(shards_in(store)) == 80
    assert another(tmp_path, "third").join() == 80
    assert len(shards_in(store)) == 1
    assert [reader.get(digest) for digest in digests] == [blob(number) for number in range(80)]


def test_few_small_shards_are_left_alone(store, tmp_path):
    for number in range(5):
        store.put(blob(number))
        let_others_read()
    assert another(tmp_path).join() == 0
    assert len(shards_in(store)) == 5


def test_what_is_removed_is_gone_with_its_bytes(store, tmp_path):
    digests = [store.put(os.urandom(10_000)) for _ in range(10)]
    let_others_read()
    before = sum(store.files.sizes(FOLDER).values())
    store.remove(digests[:8])
    assert set(store.sizes()) == set(digests[8:])
    assert sum(store.files.sizes(FOLDER).values()) < before / 3
    assert store.files.list(HOLES) == []
    assert another(tmp_path).size(digests[0]) is None


def test_a_failed_upload_keeps_what_waits(store, monkeypatch):
    digest = store.put(b"patience")
    write = FileTree._write_in_folder

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileTree, "_write_in_folder", refuse)
    with pytest.raises(StageError, match="free some space"):
        let_others_read()
    assert store.get(digest) == b"patience"
    monkeypatch.setattr(FileTree, "_write_in_folder", write)
    let_others_read()
    assert len(shards_in(store)) == 1


def test_the_cache_has_a_bound_and_keeps_what_was_used_last(tmp_path):
    cache = BlobCache(tmp_path, most=10_000)
    blobs = [bytes([number]) * 1000 for number in range(20)]
    for number, content in enumerate(blobs):
        cache.put(digest_of(content), content)
        os.utime(tmp_path / digest_of(content)[:2] / digest_of(content), (number, number))
    assert cache.get(digest_of(blobs[0])) == blobs[0]
    cache.shrink()
    held = [content for content in blobs if cache.get(digest_of(content))]
    assert held == [blobs[0], *blobs[-8:]]
    path = next(path for path in tmp_path.glob("*/*") if path.is_file())
    path.write_bytes(b"damaged")
    assert cache.get(path.name) is None


def test_the_same_blobs_give_the_same_shard():
    blobs = {digest_of(blob(number)): blob(number) for number in range(5)}
    turned = dict(reversed(blobs.items()))
    assert pack_shard(blobs) == pack_shard(turned)


def put_numbers(batch, root):
    store = BlobStore(root)
    return [store.put(blob(number)) for number in batch]


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shards_of.cache_clear()
    with loopback_bucket(monkeypatch) as (url, gate):
        yield url, gate
    shards_of.cache_clear()


@pytest.mark.slow
def test_writers_beside_each_other_lose_nothing_in_a_bucket(bucket, tmp_path):
    root = f"{bucket[0]}/blobs"
    work = partial(put_numbers, root=root)
    engine = LocalEngine(2)
    digests = [d for batch in engine.map_batches(work, range(400), batch_size=4) for d in batch]
    store = BlobStore(root)
    assert [store.get(digest) for digest in digests] == [blob(number) for number in range(400)]
    before = len(store.files.list(FOLDER))
    # Two machines join while others put and read.
    joiners = [Shards(FileTree(root), BlobCache(tmp_path / name)) for name in "ab"]
    threads = [threading.Thread(target=joiner.join, kwargs={"whole": True}) for joiner in joiners]
    writer = threading.Thread(target=put_numbers, args=(range(400, 500), root))
    for thread in (*threads, writer):
        thread.start()
    reader = Shards(FileTree(root), BlobCache(tmp_path / "reader"))
    assert [reader.get(digest) for digest in digests] == [blob(number) for number in range(400)]
    for thread in (*threads, writer):
        thread.join()
    let_others_read()
    last = Shards(FileTree(root), BlobCache(tmp_path / "last"))
    assert len(last.sizes()) == 500
    assert all(last.get(digest) for digest in last.sizes())
    assert len(store.files.list(FOLDER)) < before


@pytest.mark.slow
def test_an_upload_that_is_cut_leaves_nothing_and_is_made_good(bucket, tmp_path):
    url, gate = bucket
    store = BlobStore(f"{url}/blobs")
    content = os.urandom(3 << 20)
    digest = store.put(content)
    gate.cut_after = 1 << 20
    with pytest.raises(StageError, match="cannot be written"):
        let_others_read()
    gate.cut_after = None
    assert gate.cuts
    assert store.files.list(FOLDER) == []
    let_others_read()
    assert len(store.files.list(FOLDER)) == 1
    assert Shards(FileTree(f"{url}/blobs"), BlobCache(tmp_path / "other")).get(digest) == content


@pytest.mark.slow
def test_a_file_in_a_bucket_is_replaced_as_a_whole_and_seen_by_others(bucket):
    first, second = FileTree(f"{bucket[0]}/files"), FileTree(f"{bucket[0]}/files")
    assert second.list("copies") == []
    for number in range(5):
        first.write("copies/owner.json", str(number).encode())
        assert second.read("copies/owner.json") == str(number).encode()
        assert second.list("copies") == ["owner.json"]
        assert second.size("copies/owner.json") == 1
