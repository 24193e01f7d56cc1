"""One installation: its home, and its storage and settings, found again from the settings file
whenever a run asks.
"""

import logging
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clustering_pipeline.core.engine import make_engine
from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.core.progress import ProgressListener
from clustering_pipeline.project.keepsakes import Keepsakes, claim
from clustering_pipeline.project.sharing import SharedKeepsakes, check_moved
from clustering_pipeline.settings import (
    SETTINGS_FILE,
    ComputeSettings,
    PipelineSettings,
    RunOverrides,
    SettingsSource,
    StorageSettings,
)
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import (
    BlobStore,
    FeatureTables,
    FileTree,
    ManifestStore,
    hold,
    layout,
)

if TYPE_CHECKING:
    from clustering_pipeline.review import CorrectionStore, ReviewProgress
    from clustering_pipeline.stages.catalogue import SourceRecords
    from clustering_pipeline.storage import Place, SharedDatabase

SUFFIX = ".retired"


class Retirement:
    """A mark beside the record of each category whose catalogue was taken away."""

    def __init__(self, files: FileTree) -> None:
        """`files`: the root of the storage."""
        self.files = files

    def all(self) -> set[str]:
        """Return the retired categories."""
        return {name.removesuffix(SUFFIX) for name in self.files.list(layout.SOURCES, SUFFIX)}

    def retire(self, category: str) -> None:
        """Mark a category as retired."""
        self.files.write(layout.source_record(category, SUFFIX), b"")

    def restore(self, category: str) -> None:
        """Take the mark away; a category without one is fine."""
        self.files.remove(layout.source_record(category, SUFFIX))


HOME_VARIABLE = "DAGSTER_HOME"


INSTANCE_FILE = "dagster.yaml"


CHECKOUT = Path(__file__).resolve().parents[2]


# A wheel carries the file inside the package; a checkout has it in its own dagster_home.
_SECONDS_OF_A_LOOK = 1.0
_PRUNING = "the storage"


TEMPLATES = (CHECKOUT / "dagster_home" / INSTANCE_FILE, Path(__file__).with_name(INSTANCE_FILE))


@dataclass(frozen=True)
class PipelineHome:
    """The folders below one Dagster home."""

    path: Path

    @classmethod
    def find(cls) -> "PipelineHome":
        """Return the home that `DAGSTER_HOME` names, else the checkout's `dagster_home`, always
        absolute.
        """
        named = os.environ.get(HOME_VARIABLE)
        if named:
            return cls(Path(named).expanduser().absolute())
        checkout = (
            CHECKOUT if (CHECKOUT / "pyproject.toml").exists() else Path.cwd()
        ) / "dagster_home"
        return cls(checkout.absolute())

    @property
    def settings_file(self) -> Path:
        """The settings file, which need not exist."""
        return self.path / SETTINGS_FILE

    @property
    def state(self) -> Path:
        """The folder of local databases."""
        return self.path / layout.STATE

    @property
    def storage(self) -> Path:
        """Where `storage.root` is when it is unset."""
        return self.path / layout.STORAGE

    @property
    def models(self) -> Path:
        """Where model files are when `compute.models` is unset."""
        return self.path / layout.MODELS

    @property
    def catalogues(self) -> Path:
        """The folder that is watched for workbooks when `automation.catalogue_folder` is unset."""
        return self.path / layout.CATALOGUES

    @property
    def identity(self) -> str:
        """What tells this home from every other, wherever it is moved; drawn when first asked."""
        path = self.path / layout.HOME_IDENTITY
        if not path.exists() or not path.stat().st_size:
            with hold(self.state / layout.OPENING_LOCK):
                if not path.exists() or not path.stat().st_size:
                    path.write_text(f"{uuid.uuid4().hex}\n", encoding="ascii")
        return path.read_text(encoding="ascii").strip()

    def prepare(self) -> "PipelineHome":
        """Create the folder with its `dagster.yaml` where they are missing and return self.

        Raises InputError when it cannot be made or written to.
        """
        try:
            for folder in (self.path, self.state, self.storage):
                folder.mkdir(parents=True, exist_ok=True)
            if not (self.path / INSTANCE_FILE).exists():
                self._write_instance_file()
            with tempfile.TemporaryFile(dir=self.state):
                pass
        except OSError as error:
            raise InputError(
                f"The Dagster home {self.path} cannot be used ({error.strerror}). Set "
                f"{HOME_VARIABLE} to a folder that this account may write to."
            ) from error
        return self

    def _write_instance_file(self) -> None:
        # Another command may open the home at the same moment: it finds the whole file, or none.
        template = next(path for path in TEMPLATES if path.exists())
        with tempfile.NamedTemporaryFile(dir=self.path, delete=False) as file:
            file.write(template.read_bytes())
        Path(file.name).chmod(template.stat().st_mode)
        Path(file.name).replace(self.path / INSTANCE_FILE)

    @property
    def database(self) -> "SharedDatabase | None":
        """What `storage.database` of the settings file names, None when the home keeps its own
        files; raises InputError.
        """
        address = self._storage_settings.database
        if address is None:
            return None
        from clustering_pipeline.storage import SharedDatabase

        return SharedDatabase(address.get_secret_value())

    @contextmanager
    def working_on(self, category: str, seconds: float = _SECONDS_OF_A_LOOK) -> Iterator[bool]:
        """Have a category alone while the block runs, among the processes of this home and of all
        machines that share its database; gives False when another process has it.

        One who only looks whether it is free has it for a moment, which `seconds` bridge; for
        another machine one who would wait at all waits as long as `storage.wait_seconds` says.
        """
        with hold(self.state / layout.LOCKS / f"{category}.lock", seconds=seconds) as is_mine:
            if not is_mine:
                yield False
                return
            with self.working_among_machines(category, seconds) as is_mine:
                yield is_mine

    @contextmanager
    def working_among_machines(
        self, category: str, seconds: float = _SECONDS_OF_A_LOOK
    ) -> Iterator[bool]:
        """Have a category alone among the machines that share a database; gives False when another
        process has it.
        """
        database = self.database
        if database is None:
            yield True
            return
        patience = max(seconds, self._storage_settings.wait_seconds) if seconds else 0.0
        with database.turns.turn(_turn_of(category), seconds=patience) as is_mine:
            yield is_mine

    def confirm_turns(self) -> None:
        """See that this process still has what it works on, after a restart of the database that
        machines share; raises StageError when another process took it.
        """
        database = self.database
        if database is not None:
            database.turns.confirm()

    def worker_on(self, category: str) -> str:
        """Return in words which process of a machine that shares the database works on a category,
        "" when none does.
        """
        database = self.database
        return "" if database is None else database.turns.holder(_turn_of(category))

    @contextmanager
    def using_storage(self) -> Iterator[None]:
        """Keep others from pruning the storage while the block runs; raises StageError when a
        machine that shares it prunes it for longer than `storage.wait_seconds`.
        """
        database = self.database
        with hold(self.state / layout.STORAGE_LOCK, shared=True):
            if database is None:
                yield
                return
            seconds = self._storage_settings.wait_seconds
            with database.turns.turn(_PRUNING, shared=True, seconds=seconds) as is_mine:
                if not is_mine:
                    raise StageError(
                        f"The storage is being pruned by {database.turns.holder(_PRUNING)} for "
                        f"longer than {seconds:g} s (storage.wait_seconds). Run again when that "
                        "has ended; nothing was started."
                    )
                yield

    @contextmanager
    def pruning(self) -> Iterator[bool]:
        """Have the storage alone while the block runs; gives False when somebody uses it."""
        database = self.database
        with hold(self.state / layout.STORAGE_LOCK, seconds=_SECONDS_OF_A_LOOK) as is_mine:
            if database is None or not is_mine:
                yield is_mine
                return
            with database.turns.turn(_PRUNING, seconds=_SECONDS_OF_A_LOOK) as is_mine:
                yield is_mine

    @property
    def _storage_settings(self) -> StorageSettings:
        return SettingsSource(self.settings_file).installation().storage


def _turn_of(category: str) -> str:
    return f"the category {category}"


@dataclass(frozen=True)
class Project:
    """Home, settings and storage, from which a run makes the context of its stages."""

    home: PipelineHome
    overrides: RunOverrides = field(default_factory=RunOverrides)
    listener: ProgressListener = field(default_factory=ProgressListener)

    @property
    def settings(self) -> SettingsSource:
        """The settings file of the home under the overrides of this run."""
        return SettingsSource(self.home.settings_file, self.overrides)

    def category_settings(self, category: str) -> PipelineSettings:
        """Return the settings in force for `category`, with the columns that its record names and
        the hosts that it allows besides; raises InputError.
        """
        source = self.sources.find(category)
        if source is None:
            return self.settings.category(category)
        settings = self.settings.category(category, {"catalogue": dict(source.columns)})
        allowed = settings.download.allow_hosts
        besides = [host for host in source.hosts if host not in allowed]
        if not besides:
            return settings
        download = settings.download.model_copy(update={"allow_hosts": (*allowed, *besides)})
        return settings.model_copy(update={"download": download})

    @property
    def catalogue_folder(self) -> str:
        """The folder or fsspec URL that is watched for workbooks; raises InputError."""
        return self.settings.installation().automation.catalogue_folder or str(self.home.catalogues)

    @property
    def storage_root(self) -> str:
        """`storage.root`, else the folder below the home; raises InputError when the settings file
        cannot be used.
        """
        return self.settings.installation().storage.root or str(self.home.storage)

    def files(self, folder: str) -> FileTree:
        """Return the part of the storage that is called `folder`, one of `layout.FOLDERS`."""
        return FileTree(f"{self.storage_root}/{folder}")

    @property
    def outputs(self) -> FileTree:
        """What is made for people: a folder per category."""
        return self.files(layout.OUTPUTS)

    def search_root(self, category: str) -> str:
        """Return the folder or URL of a category's search index."""
        return (
            f"{self.storage_root}/{layout.OUTPUTS}/{layout.output(category, layout.SEARCH_INDEX)}"
        )

    @property
    def sources(self) -> "SourceRecords":
        """The record of every category's catalogue."""
        from clustering_pipeline.stages.catalogue import SourceRecords

        return SourceRecords(FileTree(self.storage_root), self.blobs)

    @property
    def retired(self) -> Retirement:
        """Which categories are no longer kept up to date."""
        return Retirement(FileTree(self.storage_root))

    @property
    def corrections(self) -> "CorrectionStore":
        """What people said about the results of all categories."""
        from clustering_pipeline.review import CorrectionStore

        place = self._review_place(layout.CORRECTIONS)
        if isinstance(place, str):
            return CorrectionStore(place)
        self.keepsakes.check(layout.CORRECTIONS)
        return CorrectionStore(place, self.keepsakes.keep)

    @property
    def database(self) -> "SharedDatabase | None":
        """The database that this home shares with others, None when it keeps its own files.

        Raises InputError where this run would have another one than the home.
        """
        database, asked = self.home.database, self.settings.installation().storage.database
        if (database and database.address) != (asked and asked.get_secret_value()):
            raise InputError(
                "storage.database holds for the whole home, not for one run: write it into "
                f"{self.home.settings_file}."
            )
        return database

    def place(self, name: str) -> "Place":
        """Return where the tables are that a file of this name in the home's state holds, or would
        hold; raises InputError when they have not been moved to the database yet.
        """
        database = self.database
        if database is None:
            return self.home.state / name
        check_moved(self.home.state, database.name)
        return database

    @property
    def keepsakes(self) -> Keepsakes | SharedKeepsakes:
        """What the storage remembers of that which cannot be made again."""
        database = self.database
        if database is not None:
            return SharedKeepsakes(database, self.storage_root)
        return Keepsakes(self.home.state, self.storage_root)

    def claim_storage(self) -> None:
        """Mark the storage as this home's, or as that of all homes that share its database; raises
        InputError when it is another one's.
        """
        database = self.database
        if database is not None:
            check_moved(self.home.state, database.name)
        claim(self.home, self.storage_root, database)

    @property
    def review_progress(self) -> "ReviewProgress":
        """Which clusters of all categories somebody has looked at."""
        from clustering_pipeline.review import ReviewProgress

        return ReviewProgress(self._review_place(layout.REVIEW_PROGRESS))

    @property
    def blobs(self) -> BlobStore:
        """The pictures, crops and features, by content."""
        return BlobStore(f"{self.storage_root}/{layout.BLOBS}")

    @property
    def manifests(self) -> ManifestStore:
        """The manifests that the assets returned last."""
        return ManifestStore(self.files(layout.MANIFESTS))

    def context(self, category: str, log: logging.Logger) -> StageContext:
        """Return what the stages of a run of `category` are handed; raises InputError."""
        root, compute = self.storage_root, self.category_settings(category).compute
        self.claim_storage()
        self.keepsakes.check(layout.CLUSTER_NUMBERS)
        return StageContext(
            blobs=BlobStore(f"{root}/{layout.BLOBS}"),
            tables=FeatureTables(f"{root}/{layout.FEATURES}"),
            state=self.home.state,
            engine=make_engine(compute.engine, compute.workers, self._owner_file()),
            progress=self.listener.of(log),
            hardware=self.hardware(compute),
            category=category,
            database=self.database,
        )

    def _owner_file(self) -> str | None:
        """Return the file by which another machine sees that it has the same storage, None where
        that is no folder.
        """
        files = FileTree(self.storage_root)
        return files.location(layout.OWNER) if files.is_local else None

    def hardware(self, compute: ComputeSettings) -> Hardware:
        """Return what `compute` asks of the neural models, with the home's folder of models where
        it names none.
        """
        return Hardware(
            compute.device,
            compute.precision,
            Path(compute.models) if compute.models else self.home.models,
            compute.compile_encoder,
        )

    def _review_place(self, file: str) -> "Place | str":
        url = self.settings.installation().storage.corrections
        return self.place(file) if url is None else url.get_secret_value()
