"""The Dagster home: where the instance, the settings file, the pictures and the local databases
live.
"""

import os
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.settings import SETTINGS_FILE
from clustering_pipeline.storage import FileTree, hold, layout

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

    def working_on(
        self, category: str, seconds: float = _SECONDS_OF_A_LOOK
    ) -> AbstractContextManager[bool]:
        """Have a category alone while the block runs; gives False when another process has it.

        One who only looks whether it is free has it for a moment, which `seconds` bridge.
        """
        return hold(self.state / layout.LOCKS / f"{category}.lock", seconds=seconds)

    def using_storage(self) -> AbstractContextManager[bool]:
        """Keep others from pruning the storage while the block runs."""
        return hold(self.state / layout.STORAGE_LOCK, shared=True)

    def pruning(self) -> AbstractContextManager[bool]:
        """Have the storage alone while the block runs; gives False when somebody uses it."""
        return hold(self.state / layout.STORAGE_LOCK, seconds=_SECONDS_OF_A_LOOK)
