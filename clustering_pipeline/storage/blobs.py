"""Bytes under their sha256: a file each in a folder, shards of many in an object store, where each
request costs as much as a hundred kilobytes.

A shard is a tar archive that is named after the hash of its bytes and never changes. Its first
member says where each blob lies in it, so that one blob is one ranged read, and any tar program can
unpack it. It is put as a whole or not at all: a failed upload leaves nothing, and two writers never
touch the same object. What is taken out of a shard is named by an empty object beside it, until
small and holey shards are joined.
"""

import hashlib
import io
import os
import tarfile
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import RLock

from clustering_pipeline.core.engine import BEFORE_OTHERS_READ
from clustering_pipeline.core.errors import StageError
from clustering_pipeline.storage.files import FileTree

FOLDER, HOLES = "shards", "holes"
SUFFIX = ".tar"
_INDEX = "index.txt"
# Bytes of a blob's line in the index, and of a tar block.
_LINE, _BLOCK = 92, 512
# A shard is put once it has so many bytes, or its first blob is so old, in seconds.
SHARD_BYTES, _OLDEST = 16 << 20, 5.0
# Smaller shards than this are joined once there are so many of them, to this many bytes at most.
_SMALL, _MANY, JOINED_BYTES = SHARD_BYTES // 2, 64, 64 << 20
# Bytes that are read at the start of a shard, which hold most indexes whole.
_HEAD = 64 << 10
# How long a listing may come late, and the first pause before it is asked again, in seconds.
LISTING_SECONDS, _PAUSE = 10.0, 0.1
# What is asked for again and again is not listed for again within so many seconds.
_FRESH = 2.0
CACHE_BYTES = 2 << 30
_CACHE_SHARE, _CACHE_EVERY = 0.9, 64


@dataclass(frozen=True)
class Place:
    """Where a blob lies: the shard's name, and its bytes there."""

    shard: str
    start: int
    size: int


def pack_shard(blobs: Mapping[str, bytes]) -> bytes:
    """Return the archive of blobs by digest, the same for the same blobs."""
    digests = sorted(blobs)
    start = _BLOCK + _padded(_LINE * len(digests))
    lines = []
    for digest in digests:
        start += _BLOCK
        lines.append(f"{digest} {start:014d} {len(blobs[digest]):011d}\n")
        start += _padded(len(blobs[digest]))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in [
            (_INDEX, "".join(lines).encode()),
            *((digest, blobs[digest]) for digest in digests),
        ]:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def shard_name(content: bytes) -> str:
    """Return the name of a shard with these bytes."""
    return f"{hashlib.sha256(content).hexdigest()[:40]}{SUFFIX}"


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def read_index(files: FileTree, shard: str) -> dict[str, Place]:
    """Return where the blobs of a shard lie; raises FileNotFoundError, and ValueError when it is no
    shard.
    """
    path = f"{FOLDER}/{shard}"
    head = files.read_part(path, 0, _HEAD)
    try:
        end = _BLOCK + tarfile.TarInfo.frombuf(head[:_BLOCK], "ascii", "strict").size
    except tarfile.TarError as error:
        raise ValueError(f"{path} in {files.root} is no tar archive") from error
    if len(head) < end:
        head += files.read_part(path, len(head), end)
    return _places(shard, head[_BLOCK:end])


def _places(shard: str, index: bytes) -> dict[str, Place]:
    entries = (line.split() for line in index.decode("ascii").splitlines())
    return {digest: Place(shard, int(start), int(size)) for digest, start, size in entries}


class BlobCache:
    """Blobs that were read, in a folder of this machine with a bound; those that were not used for
    longest go first.
    """

    def __init__(self, folder: Path, most: int = CACHE_BYTES) -> None:
        """`most`: bytes of all blobs in it, but for those that came since it was looked at."""
        self.folder = folder
        self.most = most
        self._added = 0

    def get(self, digest: str) -> bytes | None:
        """Return the bytes of `digest`, None when they are not held, or damaged."""
        path = self.folder / digest[:2] / digest
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return content if _is_whole(digest, content) else None

    def put(self, digest: str, content: bytes) -> None:
        """Keep bytes; a disk that takes none is fine."""
        path = self.folder / digest[:2] / digest
        partial = path.with_name(f".{digest}.{os.getpid()}.partial")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial.write_bytes(content)
            partial.replace(path)
        self._added += 1
        if self._added % _CACHE_EVERY == 0:
            self.shrink()

    def shrink(self) -> None:
        """Remove the blobs that were not used for longest, where there are more than fit."""
        cached_files = []
        for path in self.folder.glob("*/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                cached_files.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in cached_files)
        if total <= self.most:
            return
        for _, size, path in sorted(cached_files):
            if total <= self.most * _CACHE_SHARE:
                return
            path.unlink(missing_ok=True)
            total -= size


class Shards:
    """The blobs of one object store, as this process knows them."""

    def __init__(self, files: FileTree, cache: BlobCache) -> None:
        self.files = files
        self.cache = cache
        self._lock = RLock()
        self._waiting: dict[str, bytes] = {}
        self._bytes, self._since = 0, 0.0
        self._places: dict[str, Place] = {}
        # The bytes of each shard whose index was read.
        self._sizes: dict[str, int] = {}
        self._holes: set[str] = set()
        self._listed = 0.0

    def put(self, digest: str, content: bytes) -> None:
        """Keep bytes for the next shard, unless a shard has them; it is put when it is full, or
        others must read it.
        """
        with self._lock:
            self._list_once()
            if digest in self._waiting or digest in self._places:
                return
            if not self._waiting:
                self._bytes, self._since = 0, time.monotonic()
            self._waiting[digest] = content
            self._bytes += len(content)
            is_due = self._bytes >= SHARD_BYTES or time.monotonic() - self._since >= _OLDEST
        self.cache.put(digest, content)
        if is_due:
            self.flush()

    def flush(self) -> None:
        """Put what waits for its shard; raises StageError, and keeps it, when that fails."""
        with self._lock:
            if self._waiting:
                self._put_shard(self._waiting)
                self._waiting = {}

    def get(self, digest: str, *, patiently: bool = True) -> bytes | None:
        """Return the bytes of `digest`, None when no shard has them, or they are damaged; those are
        taken out.

        `patiently`: what no listing shows is looked for again until a late one would show it.
        """
        with self._lock:
            self._list_once()
            if digest in self._waiting:
                return self._waiting[digest]
        content = self.cache.get(digest)
        if content is None:
            content = self._read(digest, patiently)
            if content is not None:
                self.cache.put(digest, content)
        return content

    def size(self, digest: str) -> int | None:
        """Return how many bytes there are under `digest`, None when no shard has them."""
        with self._lock:
            if digest in self._waiting:
                return len(self._waiting[digest])
            place = self._find(digest)
        return place.size if place else None

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every blob by digest."""
        with self._lock:
            self.flush()
            self._refresh()
            return {digest: place.size for digest, place in self._places.items()}

    def remove(self, digests: Collection[str]) -> None:
        """Take blobs out; their bytes go when their shards are joined."""
        with self._lock:
            self.flush()
            self._refresh()
            for digest in digests:
                if place := self._places.pop(digest, None):
                    hole = _hole(place.shard, digest)
                    self.files.write(f"{HOLES}/{hole}", b"")
                    self._holes.add(hole)

    def join(self, *, whole: bool = False) -> int:
        """Join small shards, and write those with holes again without them; returns how many went.

        `whole`: even when there are few small ones. A reader that knew a shard that went finds its
        blobs in the one that came.
        """
        with self._lock:
            self.flush()
            self._refresh()
            holey = {hole.partition("-")[0] + SUFFIX for hole in self._holes}
            small = [name for name, size in sorted(self._sizes.items()) if size < _SMALL]
            small = small if whole or len(small) >= _MANY else []
            old = sorted({*small, *(holey & self._sizes.keys())})
            if len(old) < 2 and not holey:
                return 0
            self._rewrite(old)
            for hole in sorted(self._holes):
                self.files.remove(f"{HOLES}/{hole}")
            self._holes = set()
            return len(old)

    def _rewrite(self, old: list[str]) -> None:
        """Put the blobs of shards into new ones, then remove those that are not the same."""
        blobs_of = defaultdict(list)
        for digest, place in self._places.items():
            blobs_of[place.shard].append((digest, place))
        whole: dict[str, bytes] = {}
        written = set()
        for shard in old:
            content = self.files.read(f"{FOLDER}/{shard}")
            blobs = {d: content[p.start : p.start + p.size] for d, p in blobs_of[shard]}
            whole |= {d: blob for d, blob in blobs.items() if _is_whole(d, blob)}
            if sum(map(len, whole.values())) >= JOINED_BYTES:
                written.add(self._put_shard(whole))
                whole = {}
        if whole:
            written.add(self._put_shard(whole))
        for shard in old:
            if shard not in written:
                self.files.remove(f"{FOLDER}/{shard}")
                self._sizes.pop(shard, None)

    def _put_shard(self, blobs: Mapping[str, bytes]) -> str:
        content = pack_shard(blobs)
        name = shard_name(content)
        self.files.write(f"{FOLDER}/{name}", content)
        index = content[_BLOCK : _BLOCK + _LINE * len(blobs)]
        self._take_in(name, len(content), _places(name, index))
        return name

    def _take_in(self, shard: str, size: int, places: Mapping[str, Place]) -> None:
        self._places |= {d: p for d, p in places.items() if _hole(shard, d) not in self._holes}
        self._sizes[shard] = size

    def _list_once(self) -> None:
        if not self._listed:
            self._refresh()

    def _find(self, digest: str) -> Place | None:
        """Return where a blob lies, as far as was listed within the last seconds."""
        if digest not in self._places and time.monotonic() - self._listed > _FRESH:
            self._refresh()
        return self._places.get(digest)

    def _refresh(self) -> None:
        """Read the indexes of shards that others put, and forget those that went."""
        self._holes = set(self.files.list(HOLES))
        listed = self.files.sizes(FOLDER, SUFFIX)
        for shard in self._sizes.keys() - listed.keys():
            del self._sizes[shard]
        self._places = {
            digest: place
            for digest, place in self._places.items()
            if place.shard in listed and _hole(place.shard, digest) not in self._holes
        }
        for shard in sorted(listed.keys() - self._sizes.keys()):
            # Of a listing that comes late, the shard may be gone already.
            with suppress(FileNotFoundError):
                self._take_in(shard, listed[shard], read_index(self.files, shard))
        self._listed = time.monotonic()

    def _read(self, digest: str, patiently: bool) -> bytes | None:
        """Return bytes from their shard; one that went since, or that a listing does not show yet,
        is looked for again.
        """
        for _ in _turns() if patiently else range(2):
            with self._lock:
                place = self._find(digest)
            if place is None and not patiently:
                return None
            if place:
                with suppress(FileNotFoundError):
                    return self._read_at(digest, place)
            with self._lock:
                self._refresh()
        return None

    def _read_at(self, digest: str, place: Place) -> bytes | None:
        content = self.files.read_part(
            f"{FOLDER}/{place.shard}", place.start, place.start + place.size
        )
        if _is_whole(digest, content):
            return content
        self.remove([digest])
        return None


def _turns() -> Iterator[None]:
    """Give turns with growing pauses between them, as long as a listing may come late."""
    until, pause = time.monotonic() + LISTING_SECONDS, _PAUSE
    yield
    while time.monotonic() < until:
        yield
        time.sleep(pause)
        pause *= 2
    yield


def _is_whole(digest: str, content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == digest


def _hole(shard: str, digest: str) -> str:
    return f"{shard.removesuffix(SUFFIX)}-{digest}"


def _cache_folder(root: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "clustering-pipeline" / hashlib.sha256(root.encode()).hexdigest()[:16]


_OPEN: dict[str, Shards] = {}


@cache
def shards_of(root: str) -> Shards:
    """Return the shards of one root, the same for all of this process."""
    _OPEN[root] = Shards(FileTree(root), BlobCache(_cache_folder(root)))
    return _OPEN[root]


def join_all() -> None:
    """Join the small shards of every store that this process has used, where there are many."""
    for shards in list(_OPEN.values()):
        shards.join()


def _flush_all() -> None:
    for shards in list(_OPEN.values()):
        shards.flush()


BEFORE_OTHERS_READ.append(_flush_all)


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
