"""Workbooks that came through the browser and whose columns somebody is looking at: a folder each,
until they are grouped or forgotten.
"""

import csv
import io
import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeVar

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.security import ConfinedError, confined
from clustering_pipeline.core.text import category_slug
from clustering_pipeline.project import Project
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue import (
    CatalogueSource,
    ColumnChoice,
    SheetPreview,
    check_file,
    preview_file,
)
from clustering_pipeline.storage import hold, layout
from clustering_pipeline.web.background import read_file, replace_file
from clustering_pipeline.web.category_cache import UnknownError
from clustering_pipeline.web.security import Turns

SUFFIXES = (".xlsx", ".xlsm", ".xls", ".ods", ".csv", ".tsv", ".parquet")
# Of all drafts, each of the size of an upload at most; the oldest give way.
DRAFTS_KEPT = 20
MOST_LINKS = 200_000
LONGEST_NAME = 120
# What reading an upload may use, beside what the process needs to begin; one is read at a time.
MEGABYTES, SECONDS = 1536, 120.0
READING = Turns(1, most_waiting=8, seconds=90.0)
DESCRIPTION = "draft.json"
PASTED = "Pasted links"
Found = TypeVar("Found")
_TOKEN = re.compile(r"[\w-]{16,40}")


@dataclass(frozen=True)
class Draft:
    """An upload with what was seen in it."""

    folder: Path
    file_name: str
    sheets: Sequence[SheetPreview]

    @property
    def name(self) -> str:
        """What the draft is called in addresses."""
        return self.folder.name

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.folder / self.file_name

    @property
    def display_name(self) -> str:
        """The name of the category that its file suggests."""
        return Path(self.file_name).stem.removesuffix(".clustered")

    @property
    def usual_sheets(self) -> list[str]:
        """The names of the sheets that are read where none is chosen."""
        return [sheet.name for sheet in self.sheets if sheet.is_read]

    def sheet(self, name: str) -> SheetPreview:
        """Return the sheet of that name, the first where there is none."""
        return next((sheet for sheet in self.sheets if sheet.name == name), self.sheets[0])


class Drafts:
    """The drafts of a home."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._folder = project.home.state / layout.DRAFTS

    def take(self, file_name: str, content: BinaryIO) -> Draft:
        """Keep an upload and look into it; raises InputError when it cannot be read, BusyError when
        too many are being read.
        """
        name = _plain_name(file_name)
        if Path(name).suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{name} is no table that is read here. Give one of {', '.join(SUFFIXES)}."
            )
        folder = self._folder / secrets.token_urlsafe(18)
        folder.mkdir(parents=True)
        try:
            with (folder / name).open("wb") as file:
                shutil.copyfileobj(content, file)
            return self._describe(folder, name)
        except BaseException:
            shutil.rmtree(folder)
            raise

    def take_text(self, text: str) -> Draft:
        """Keep pasted text: an address a line, or rows that were copied from a table; raises
        InputError.
        """
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if len(lines) > MOST_LINKS:
            raise InputError(
                f"These are {len(lines):,} lines, and {MOST_LINKS:,} is the most. Upload them as a "
                f"file."
            )
        if not any("://" in line for line in lines):
            raise InputError(
                "There is no address in this text. Paste the addresses of pictures, one a line, "
                "beginning with https://."
            )
        is_list = all(line.lower().startswith(("http://", "https://")) for line in lines)
        name = self._free_name()
        if is_list and not any("\t" in line for line in lines):
            return self.take(f"{name}.csv", io.BytesIO(_numbered(lines)))
        return self.take(f"{name}.tsv", io.BytesIO(text.encode()))

    def get(self, name: str) -> Draft:
        """Return a draft; raises UnknownError when it is gone."""
        folder = self._folder / name
        description = read_file(folder / DESCRIPTION) if _TOKEN.fullmatch(name) else None
        if description is None:
            raise UnknownError("This upload is no longer held. Drop the workbook again.")
        sheets = [
            SheetPreview(**{**sheet, "guess": ColumnChoice(**sheet["guess"])})
            for sheet in description["sheets"]
        ]
        return Draft(folder, description["file_name"], sheets)

    def check(self, draft: Draft, sheet: str, choice: ColumnChoice) -> None:
        """Raise the InputError that reading a sheet, all of them where it is "", would end with."""
        sheets, columns = _as_recorded(draft, sheet, choice)
        settings = self._settings().model_copy(update={**columns, "sheets": sheets})
        _apart(check_file, draft.path, settings)

    def record(
        self, draft: Draft, display_name: str, sheet: str, choice: ColumnChoice
    ) -> CatalogueSource:
        """Make a draft the workbook of a category, a new one or that of the same name; raises
        InputError.
        """
        project, name = self._project, " ".join(display_name.split())
        if not name or len(name) > LONGEST_NAME:
            raise InputError(f"Give the category a name of 1 to {LONGEST_NAME} letters.")
        project.sources.check_name(name)
        project.claim_storage()
        place = project.home.path / layout.UPLOADS / category_slug(name)
        place.mkdir(parents=True, exist_ok=True)
        with hold(place.with_suffix(".lock")), project.home.using_storage():
            recorded = project.sources.find(category_slug(name))
            sheets, columns = _as_recorded(draft, sheet, choice)
            path = shutil.copyfile(draft.path, place / draft.file_name)
            source = project.sources.record(
                path,
                name,
                output=recorded.output if recorded else None,
                sheets=sheets,
                hosts=recorded.hosts if recorded else (),
                columns=columns,
            )
            project.retired.restore(source.category)
        return source

    def _describe(self, folder: Path, name: str) -> Draft:
        sheets = _apart(preview_file, folder / name, self._settings())
        if not sheets:
            raise InputError(f"{name} holds nothing but empty sheets. Choose another file.")
        description = {"file_name": name, "sheets": [asdict(sheet) for sheet in sheets]}
        replace_file(folder / DESCRIPTION, description)
        self._forget_old()
        return Draft(folder, name, sheets)

    def _settings(self) -> CatalogueSettings:
        return self._project.settings.installation().catalogue

    def _free_name(self) -> str:
        taken = {source.display_name for source in self._project.sources.all()}
        numbered = (f"{PASTED} {number}" for number in range(2, len(taken) + 3))
        return next(name for name in (PASTED, *numbered) if name not in taken)

    def _forget_old(self) -> None:
        # Another upload may forget the same ones at this moment.
        with hold(self._folder / "forgetting.lock"):
            folders = [path for path in self._folder.iterdir() if path.is_dir()]
            for folder in sorted(folders, key=_age)[:-DRAFTS_KEPT]:
                shutil.rmtree(folder, ignore_errors=True)


def _age(folder: Path) -> float:
    """Return when a folder was changed last; one that is gone meanwhile counts as the oldest."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _as_recorded(
    draft: Draft, sheet: str, choice: ColumnChoice
) -> tuple[tuple[str, ...], dict[str, str | int]]:
    """Return the sheets and the settings of columns that a choice comes to: none of what is found
    without being told, which is found again when columns move next week.
    """
    sheet_read = draft.sheet(sheet)
    is_only = not sheet or len(draft.sheets) == 1
    columns = {} if sheet_read.is_read and choice == sheet_read.guess else choice.settings
    return () if is_only else (sheet,), columns


def _apart(
    look: Callable[[Path, CatalogueSettings], Found], path: Path, settings: CatalogueSettings
) -> Found:
    """Return what `look` finds in a file, in a process that may fail without harm to the server."""
    with READING.take():
        try:
            return confined(look, MEGABYTES, SECONDS, path, settings)
        except ConfinedError as error:
            raise InputError(
                f"The file cannot be read here: {error}. Use clustering-pipeline run, which has no "
                f"such limit."
            ) from error


def _plain_name(file_name: str) -> str:
    """Return a file name without folders, signs that no file may have, and hidden files' dots."""
    base = PurePosixPath(file_name.replace("\\", "/")).name
    plain = re.sub(r'[\x00-\x1f<>:"|?*~]', "", base).strip(" .")
    stem, suffix = Path(plain).stem[:LONGEST_NAME], Path(plain).suffix
    return f"{stem or 'workbook'}{suffix}"


def _numbered(links: Sequence[str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["product_base_id", "url_thumbnail"])
    writer.writerows(enumerate(links, start=1))
    return text.getvalue().encode()
