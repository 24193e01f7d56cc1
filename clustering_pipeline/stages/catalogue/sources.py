"""What a category is read from: the record that `run` leaves and that a run from the UI reads
again.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.text import category_slug
from clustering_pipeline.stages.catalogue.embedded_images import store_folder
from clustering_pipeline.storage import BlobStore, FileTree, layout

FOLDER_LISTING = "folder"
IMAGES_FROM = "images_from"
PICTURES = "pictures"
CATEGORY_COLUMN = "category_column"
CATEGORY_VALUE = "category_value"
LOCK_FILE = re.compile(r"~\$(.+)|\.~lock\.(.+)#")


@dataclass(frozen=True)
class CatalogueSource:
    """One category's workbook (or folder of pictures) as it was when it was recorded.

    `sha256` and `size` (bytes) are those of the copy in the blob store. `output` is where the
    labelled workbook goes. `options` holds what else changes how it is read: `images_from` (the
    folder as given), `pictures` (the sha256 of that folder's listing), `category_column` and
    `category_value`, and `folder` when the path is a folder of pictures.
    """

    category: str
    display_name: str
    path: str
    sha256: str
    size: int
    sheets: tuple[str, ...] = ()
    output: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    # Loopback or private hosts that its pictures may be fetched from as well.
    hosts: tuple[str, ...] = ()
    # Settings of the section `catalogue` that a person chose for this workbook: which columns and
    # which header row.
    columns: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file name, for messages."""
        return Path(self.path).name

    @property
    def part(self) -> tuple[str, str] | None:
        """The column that splits the workbook, and its value in this category; None where all of
        the workbook is one.
        """
        if CATEGORY_COLUMN not in self.options:
            return None
        return self.options[CATEGORY_COLUMN], self.options[CATEGORY_VALUE]

    @property
    def is_folder(self) -> bool:
        """Whether the catalogue is a folder of pictures instead of a table."""
        return FOLDER_LISTING in self.options


class SourceRecords:
    """The records of all categories: JSON under `sources/` of the storage, the bytes in the blob
    store.
    """

    def __init__(self, files: FileTree, blobs: BlobStore) -> None:
        self.files = files
        self.blobs = blobs

    def record(
        self,
        path: Path | str,
        display_name: str | None = None,
        *,
        output: Path | str | None = None,
        sheets: Iterable[str] = (),
        images_from: Path | str | None = None,
        part: tuple[str, str] | None = None,
        hosts: Iterable[str] = (),
        columns: Mapping[str, str | int] | None = None,
    ) -> CatalogueSource:
        """Read the workbook or folder at `path`, keep a copy of its bytes, and write the category's
        record.

        `part`: the column that splits the workbook into categories, and its value in this one;
        `columns`: settings of the section `catalogue`. The display name defaults to the file's name
        without its suffix. An unchanged source gives
        an unchanged record. Raises InputError when the path cannot be read, or the name gives no
        slug or that of another category.
        """
        source_path = Path(path).expanduser().absolute()
        name = display_name or source_path.stem
        self.check_name(name)
        options = {}
        if source_path.is_dir():
            content = store_folder(source_path, self.blobs)
            options[FOLDER_LISTING] = "true"
        else:
            content = read_source(source_path)
        if images_from is not None:
            options[IMAGES_FROM] = str(Path(images_from).expanduser().absolute())
            options[PICTURES] = self.blobs.put(store_folder(_folder(images_from), self.blobs))
        if part is not None:
            options |= dict(zip((CATEGORY_COLUMN, CATEGORY_VALUE), part, strict=True))
        source = CatalogueSource(
            category=category_slug(name),
            display_name=name,
            path=str(source_path),
            sha256=self.blobs.put(content),
            size=len(content),
            sheets=tuple(sheets),
            output=None if output is None else str(Path(output).expanduser().absolute()),
            options=options,
            hosts=tuple(hosts),
            columns=dict(columns or {}),
        )
        self._write(source)
        return source

    def record_bytes(
        self,
        content: bytes,
        file_name: str,
        display_name: str,
        *,
        pictures: Mapping[str, str],
        hosts: Iterable[str] = (),
    ) -> CatalogueSource:
        """Keep a table that is in no file, and write the category's record.

        `file_name`: its suffix says how `content` is read. `pictures`: what its cells call the
        pictures that are in the blob store, with their sha256. Raises InputError as `record` does.
        """
        self.check_name(display_name)
        listing = json.dumps(dict(pictures), ensure_ascii=False, sort_keys=True).encode()
        source = CatalogueSource(
            category=category_slug(display_name),
            display_name=display_name,
            path=file_name,
            sha256=self.blobs.put(content),
            size=len(content),
            options={PICTURES: self.blobs.put(listing)} if pictures else {},
            hosts=tuple(hosts),
        )
        self._write(source)
        return source

    def record_again(self, source: CatalogueSource) -> CatalogueSource:
        """Read what a record was made of again, and keep the copies of it that are gone.

        Raises InputError as `record` does.
        """
        return self.record(
            source.path,
            source.display_name,
            output=source.output,
            sheets=source.sheets,
            images_from=source.options.get(IMAGES_FROM),
            part=source.part,
            hosts=source.hosts,
            columns=source.columns,
        )

    def load(self, category: str) -> CatalogueSource:
        """Return the record of a category; raises InputError when there is none."""
        try:
            return self._read(_record_path(category))
        except FileNotFoundError as error:
            categories = ", ".join(source.category for source in self.all()) or "none yet"
            raise InputError(
                f"No catalogue is recorded for the category {category!r} (recorded: {categories}). "
                "Run `clustering-pipeline run CATALOGUE --category NAME` once."
            ) from error

    def find(self, category: str) -> CatalogueSource | None:
        """Return the record of a category, None where it has none."""
        try:
            return self._read(layout.source_record(category))
        except FileNotFoundError:
            return None

    def of_path(self, path: Path) -> list[CatalogueSource]:
        """Return the records that were made of the workbook or folder at `path`."""
        return [source for source in self.all() if source.path == str(path.expanduser().absolute())]

    def check_name(self, display_name: str) -> None:
        """Raise InputError when another category has the slug that a name gives: names that differ
        in more than capitals and blanks are of two.
        """
        category = category_slug(display_name)
        if not self.files.exists(_record_path(category)):
            return
        source = self.load(category)
        if _plain(source.display_name) != _plain(display_name):
            raise InputError(
                f"The category {display_name!r} would have the key {category!r}, which is that of "
                f"{source.display_name!r}, recorded from {source.path}. Write "
                f"{source.display_name!r} if it is meant, or give this one a name "
                f"with other letters with --category."
            )

    def holds(self, category: str, content: bytes) -> bool:
        """Whether the record of `category` is of these very bytes."""
        try:
            return self._read(_record_path(category)).sha256 == hashlib.sha256(content).hexdigest()
        except FileNotFoundError:
            return False

    def remove(self, category: str) -> None:
        """Forget a category's record; one without a record is fine."""
        self.files.remove(_record_path(category))

    def all(self) -> list[CatalogueSource]:
        """Return every category's record, ordered by slug."""
        sources = []
        for name in self.files.list(layout.SOURCES, ".json"):
            with suppress(FileNotFoundError):
                sources.append(self._read(f"{layout.SOURCES}/{name}"))
        return sources

    def changed_on_disk(self, source: CatalogueSource) -> bool:
        """Whether the file that was recorded is there and holds other bytes now; a folder is
        compared by `record` alone.
        """
        path = Path(source.path)
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256

    def _read(self, path: str) -> CatalogueSource:
        """Return the record at `path`; one that is damaged is set aside and counts as missing.

        Raises FileNotFoundError.
        """
        content = self.files.read(path)
        try:
            return _from_json(content)
        except (ValueError, KeyError, TypeError) as error:
            self.files.set_aside(path, str(error))
            raise FileNotFoundError(path) from error

    def _write(self, source: CatalogueSource) -> None:
        content = json.dumps(asdict(source), ensure_ascii=False, indent=2, sort_keys=True).encode()
        path = _record_path(source.category)
        if not self.files.exists(path) or self.files.read(path) != content:
            self.files.write(path, content)


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def _record_path(category: str) -> str:
    return layout.source_record(category_slug(category))


def _from_json(content: bytes) -> CatalogueSource:
    values = json.loads(content)
    lists = {name: tuple(values.get(name, ())) for name in ("sheets", "hosts")}
    return CatalogueSource(**{**values, **lists})


def _folder(path: Path | str) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"The folder {folder} given with --images-from does not exist. Give the folder that "
            f"holds the pictures."
        )
    return folder


def _refuse_lock_file(path: Path) -> None:
    match = LOCK_FILE.fullmatch(path.name)
    if match:
        program, name = ("Excel", match[1]) if match[1] else ("LibreOffice", match[2])
        raise InputError(f"{path.name} is {program}'s mark that {name} is open. Give {name}.")


def read_source(path: Path) -> bytes:
    """Return the bytes of a workbook; raises InputError when it is missing, empty or may not be
    read.
    """
    _refuse_lock_file(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(
            f"There is no file {path}. Check the name; a relative one counts from {Path.cwd()}."
        ) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}). Close it elsewhere or change its "
            f"permissions."
        ) from error
    if not content:
        raise InputError(f"{path} is empty (0 bytes). Export or copy it again.")
    return content
