"""What a person changed in a labelled workbook, as statements: which listings belong together,
which do not, what a cluster is called.

The labels that were written lie in the store; the workbook names them on its sheet Summary. So an
edit is known as one however many runs have passed since, and rows may have been sorted meanwhile.
"""

import hashlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clustering_pipeline.core.corrections import (
    Different,
    ListingReference,
    Name,
    Same,
    Statement,
)
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.own_columns import OWN_SHEETS, is_own_sheet, own_name
from clustering_pipeline.outputs.workbook.placement import present
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue import (
    SheetTable,
    Table,
    cell_text,
    head_rows,
    own_columns,
    read_table,
    select_sheets,
)
from clustering_pipeline.storage import BlobStore

# The row of the sheet Summary that names the labels.
LABELS_MARK = "sha256 of these labels"
DIGEST = re.compile("[0-9a-f]{64}")
NO_MATCH = -1
# Labels that stayed behind while their listings moved; fewer may have been typed.
LEFT_BEHIND = 2
COLUMNS = (
    "category",
    "product_base_id",
    "image_sha256",
    "cluster_id",
    "cluster_name",
    "is_representative",
)


@dataclass(frozen=True)
class LabelEdits:
    """The category of the workbook and the statements that its edits amount to."""

    category: str
    statements: list[Statement]


def store_labels(
    labels: pd.DataFrame, raw_images: pd.DataFrame, category: str, blobs: BlobStore
) -> str:
    """Keep what was written beside the listings and return the sha256 by which the workbook names
    it.
    """
    pictures = raw_images[raw_images["position"] == 0][["listing", "image_sha256"]]
    rows = labels.merge(pictures, on="listing", how="left").assign(category=category)
    rows = rows[rows["product_base_id"].notna()]
    buffer = io.BytesIO()
    rows[list(COLUMNS)].to_parquet(buffer, index=False)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    blobs.files.write(_labels_path(digest), content)
    return digest


def _labels_path(digest: str) -> str:
    # Beside the blobs and not among them: no manifest names it, yet it must outlast a clearing of
    # what none names.
    return f"labels/{digest}.parquet"


def read_label_edits(
    path: Path, blobs: BlobStore, settings: CatalogueSettings
) -> LabelEdits | None:
    """Return what a person changed in a labelled workbook, or None when the file is none of ours.

    Raises InputError when it cannot be read, or when the labels that it was written with are not
    held here.
    """
    content = path.read_bytes()
    table = read_table(content, path.name, settings)
    digest = _labels_mark(table)
    if digest is None:
        _refuse_labels_without_mark(table, path.name)
        return None
    if not DIGEST.fullmatch(digest) or not blobs.files.exists(_labels_path(digest)):
        raise InputError(
            f"{path.name} was written from another home than this one, so what was changed in it "
            "cannot be told. Import it where it was made, or set DAGSTER_HOME to that home."
        )
    written = pd.read_parquet(io.BytesIO(blobs.files.read(_labels_path(digest))))
    edited = pd.DataFrame(
        _edited_rows(table, path.name, settings),
        columns=["product_base_id", "cluster_id", "cluster_name"],
    )
    _refuse_detached(written, edited, path.name)
    return LabelEdits(str(written["category"].iloc[0]), _statements(written, edited))


def _refuse_labels_without_mark(table: Table, name: str) -> None:
    if any(own_columns(row) for sheet in table.sheets for row in head_rows(sheet)):
        raise InputError(
            f"{name} has our columns but not the sheet Summary that tells which labels it was "
            "written with, so what was changed in it cannot be told. Import the workbook as it "
            "was written, with all its sheets."
        )


def _refuse_detached(written: pd.DataFrame, edited: pd.DataFrame, name: str) -> None:
    """Raise InputError when listings were moved as a block while the labels stayed where they were
    written: each then stands beside another product, which nobody meant.
    """
    if len(written) != len(edited):
        return
    labels = [
        [(present(number), present(name) or None) for number, name in zip(*columns, strict=True)]
        for columns in ((table["cluster_id"], table["cluster_name"]) for table in (written, edited))
    ]
    before = dict(zip(written["product_base_id"], labels[0], strict=True))
    moved = [
        (old, new, before.get(identifier))
        for was, identifier, old, new in zip(
            written["product_base_id"], edited["product_base_id"], *labels, strict=True
        )
        if was != identifier
    ]
    changed = [(old, new) for old, new, own in moved if own is not None and new[0] != own[0]]
    left = sum(old == new for old, new in changed)
    if left >= LEFT_BEHIND and 2 * left > len(changed):
        raise InputError(
            f"In {name} the listings were sorted and our columns were not: {left:,} labels stand "
            "beside another listing than the one they were written for. Undo the sorting, or sort "
            "all columns together, and import it then; nothing was recorded."
        )


def _labels_mark(table: Table) -> str | None:
    for sheet in table.sheets:
        if is_own_sheet(
            sheet.name, [cell_text(value) for value in (sheet.rows or [[]])[0]]
        ) and _is_summary(sheet):
            return next(
                (cell_text(row[1]) for row in sheet.rows if len(row) > 1 and row[0] == LABELS_MARK),
                None,
            )
    return None


def _is_summary(sheet: SheetTable) -> bool:
    return tuple(sheet.rows[0][:2]) in OWN_SHEETS["Summary"].values()


def _edited_rows(
    table: Table, name: str, settings: CatalogueSettings
) -> Iterator[tuple[str, int | None, str | None]]:
    for sheet in select_sheets(table, name, settings):
        columns = {
            own_name(sheet.columns.headers[number - 1]): number for number in sheet.columns.own
        }
        for number, row in enumerate(sheet.table.rows, start=1):
            identifier = sheet.identifier_at(number)
            if number > sheet.columns.header_row and identifier:
                cells = [
                    cell_text(row[columns[column] - 1])
                    if column in columns and columns[column] <= len(row)
                    else ""
                    for column in ("cluster_id", "cluster_name")
                ]
                yield (
                    identifier,
                    _cluster_number(cells[0], f"row {number} of sheet {sheet.table.name!r}"),
                    cells[1] or None,
                )


def _cluster_number(text: str, place: str) -> int | None:
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise InputError(
            f"The cluster_id {text!r} on {place} is no whole number. Type the number of a cluster, "
            f"a new number for a new one, or -1."
        ) from error


def _statements(written: pd.DataFrame, edited: pd.DataFrame) -> list[Statement]:
    moved = _moved(written, edited)
    keepers = _representatives(written, {item.listing.product_base_id for item in moved})
    return [*_pair_statements(moved, keepers), *_name_statements(written, edited)]


@dataclass(frozen=True)
class _Moved:
    """A listing whose cluster number was changed; None: it has no number."""

    listing: ListingReference
    old: int | None
    new: int | None


def _moved(written: pd.DataFrame, edited: pd.DataFrame) -> list[_Moved]:
    """Return every listing whose number was changed.

    An id on several rows is compared as a set of rows, since rows may have been sorted.
    """
    after: dict[str, list[int | None]] = defaultdict(list)
    for identifier, number in zip(edited["product_base_id"], edited["cluster_id"], strict=True):
        after[identifier].append(present(number))
    moved = []
    for identifier, group in written.groupby("product_base_id", sort=False):
        before = [
            (present(image), present(number))
            for image, number in zip(group["image_sha256"], group["cluster_id"], strict=True)
        ]
        remaining = list(after.get(str(identifier), []))
        changed = [pair for pair in before if not _take(remaining, pair[1])]
        moved += [
            _Moved(ListingReference(str(identifier), image), old, new)
            for (image, old), new in zip(changed, remaining, strict=False)
        ]
    return moved


def _take(numbers: list[int | None], number: int | None) -> bool:
    if number not in numbers:
        return False
    numbers.remove(number)
    return True


def _representatives(written: pd.DataFrame, moved: set[str]) -> dict[int, ListingReference]:
    """Return a listing that stayed for each cluster, its representative where that stayed."""
    stayed = written[~written["product_base_id"].isin(moved) & written["cluster_id"].notna()]
    ordered = stayed.sort_values(
        "is_representative", ascending=False, kind="stable", na_position="last"
    )
    rows = ordered.drop_duplicates("cluster_id")[["cluster_id", "product_base_id", "image_sha256"]]
    return {
        int(number): ListingReference(identifier, present(image))
        for number, identifier, image in rows.itertuples(index=False)
    }


def _pair_statements(
    moved: list[_Moved], keepers: dict[int, ListingReference]
) -> Iterator[Statement]:
    """Yield `same` with what bears the new number and `different` from what kept the old one."""
    keepers = dict(keepers)
    for item in moved:
        if item.new is not None and item.new != NO_MATCH:
            stayed = keepers.setdefault(item.new, item.listing)
            if stayed != item.listing:
                yield Same(item.listing, stayed)
        if item.old is not None and item.old != NO_MATCH and item.old in keepers:
            stayed = keepers[item.old]
            if stayed.product_base_id != item.listing.product_base_id:
                yield Different(item.listing, stayed)


def _name_statements(written: pd.DataFrame, edited: pd.DataFrame) -> Iterator[Statement]:
    """Yield `name` for every issued cluster on whose rows a name was typed; the one typed most
    often wins.

    A row that was moved keeps the name of its old cluster, which is no typed one.
    """
    before: dict[str, set[str]] = defaultdict(set)
    for identifier, name in zip(written["product_base_id"], written["cluster_name"], strict=True):
        before[identifier].add(str(present(name) or "").strip())
    typed: dict[int, Counter[str]] = defaultdict(Counter)
    for identifier, number, name in zip(
        edited["product_base_id"], edited["cluster_id"], edited["cluster_name"], strict=True
    ):
        if present(number) is not None and present(name) and name not in before[identifier]:
            typed[int(number)][name] += 1
    issued = set(written["cluster_id"].dropna().astype(int))
    for number in sorted(issued & set(typed)):
        yield Name(number, typed[number].most_common(1)[0][0])
