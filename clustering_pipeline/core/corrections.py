"""What people say of listings and clusters: typed statements, and the flat rows in which files,
databases and manifests hold them.

A row is parsed where it comes in; within the package there are only statements that say something.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from clustering_pipeline.core.errors import InputError

# The columns of a row. `number` comes before them where the row was recorded.
COLUMNS = (
    "kind",
    "id_a",
    "image_a",
    "id_b",
    "image_b",
    "cluster_id",
    "name",
    "category",
    "author",
    "time",
    "withdrawn",
)
# What the databases hold in a column of numbers.
LARGEST_NUMBER = 2**63 - 1
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")


class CorrectionError(InputError):
    """A correction that says nothing. `problem`: what is wrong, as the end of a sentence."""

    def __init__(self, problem: str, which: str = "A correction") -> None:
        """`which`: the row it stands in, as the beginning of a sentence."""
        super().__init__(
            f"{which} {problem}. A correction is same, different or unsure with two listings "
            "(id_a, id_b and, if an id has several pictures, image_a, image_b), keep with one "
            "(id_a), or name with a cluster_id and a name; nothing was recorded."
        )
        self.problem = problem


@dataclass(frozen=True)
class ListingReference:
    """A listing by its `product_base_id` and, where the id has several pictures, the sha256 of one
    of them.
    """

    product_base_id: str
    image_sha256: str | None = None

    def __post_init__(self) -> None:
        """Refuse an empty id."""
        if not self.product_base_id:
            raise CorrectionError("lacks the id of a listing")
        _refuse_unwritable(self.product_base_id, self.image_sha256)


@dataclass(frozen=True)
class _Pair:
    a: ListingReference
    b: ListingReference

    def __post_init__(self) -> None:
        """Refuse one listing twice."""
        if self.a == self.b:
            raise CorrectionError("compares a listing with itself")


@dataclass(frozen=True)
class Same(_Pair):
    """Two listings show one product."""

    kind: ClassVar[str] = "same"


@dataclass(frozen=True)
class Different(_Pair):
    """Two listings show two products."""

    kind: ClassVar[str] = "different"


@dataclass(frozen=True)
class Unsure(_Pair):
    """Nobody can tell from the two listings whether they show one product: it changes nothing, and
    nobody is asked again.
    """

    kind: ClassVar[str] = "unsure"


@dataclass(frozen=True)
class Name:
    """What people call a cluster."""

    kind: ClassVar[str] = "name"
    cluster_id: int
    name: str

    def __post_init__(self) -> None:
        """Refuse an empty name, and the number of no cluster."""
        if not self.name or not 0 < self.cluster_id <= LARGEST_NUMBER:
            raise CorrectionError("has no name or no positive cluster_id")
        _refuse_unwritable(self.name)


@dataclass(frozen=True)
class Keep:
    """A listing's picture, or all of them, is compared whatever its quality."""

    kind: ClassVar[str] = "keep"
    listing: ListingReference


@dataclass(frozen=True)
class Withdraw:
    """An earlier correction, known by its number, no longer holds."""

    kind: ClassVar[str] = "withdraw"
    number: int


Statement = Same | Different | Unsure | Name | Keep | Withdraw


@dataclass(frozen=True)
class Correction:
    """A statement with who made it, and when (ISO 8601; None before it is recorded).

    `category`: the slug of the only one that it concerns; None: every one that has the listings.
    """

    statement: Statement
    author: str
    category: str | None = None
    time: str | None = None

    def __post_init__(self) -> None:
        """Refuse what nobody says."""
        if not self.author:
            raise CorrectionError("has no author")
        _refuse_unwritable(self.author, self.category, self.time)


@dataclass(frozen=True)
class RecordedCorrection:
    """A correction with its number, by which it can be withdrawn; newer ones have larger ones."""

    number: int
    correction: Correction

    @property
    def statement(self) -> Statement:
        """What it says."""
        return self.correction.statement


def acts_of(corrections: Iterable[RecordedCorrection]) -> list[list[RecordedCorrection]]:
    """Return what was recorded together: the statements of one author at one moment, one after the
    other, the oldest first.
    """
    acts: list[list[RecordedCorrection]] = []
    last = None
    for recorded in sorted(corrections, key=lambda one: one.number):
        correction = recorded.correction
        moment = correction.author, correction.time, correction.category
        if not acts or moment != last or correction.time is None:
            acts.append([])
        acts[-1].append(recorded)
        last = moment
    return acts


def parse_correction(row: Mapping[str, object], place: str) -> Correction:
    """Return what a row says; columns that it lacks, and None and "" in it, say nothing.

    `place` names the row in messages, such as "Correction 3 of pairs.csv". Raises InputError for a
    row that says nothing.
    """
    values = {column: row[column] for column in COLUMNS if row.get(column) not in (None, "")}
    texts = {column: str(value) for column, value in values.items()}
    try:
        return Correction(
            _parse_statement(texts),
            texts.get("author", ""),
            texts.get("category"),
            texts.get("time"),
        )
    except CorrectionError as error:
        raise CorrectionError(error.problem, place) from error


def parse_recorded(rows: Iterable[Mapping[str, object]], place: str) -> list[RecordedCorrection]:
    """Return the corrections of rows that also have a `number`; `place` names the table in
    messages.

    Raises InputError for a row that says nothing.
    """
    return [
        RecordedCorrection(
            int(str(row["number"])),
            parse_correction(row, f"Correction {row['number']} of {place}"),
        )
        for row in rows
    ]


def read_corrections(manifest: pd.DataFrame) -> list[RecordedCorrection]:
    """Return the corrections of a CORRECTIONS manifest, the oldest first."""
    ordered = manifest.sort_values("number")
    rows = ordered.astype(object).where(ordered.notna(), None).to_dict("records")
    return parse_recorded([{str(name): row[name] for name in row} for row in rows], "the manifest")


def as_row(correction: Correction) -> dict[str, object]:
    """Return a correction as a row with all of `COLUMNS`, None where it says nothing."""
    said: dict[str, object] = {
        "kind": correction.statement.kind,
        "category": correction.category,
        "author": correction.author,
        "time": correction.time,
    }
    match correction.statement:
        case Same(a, b) | Different(a, b) | Unsure(a, b):
            said |= _listing_cells(a, "a") | _listing_cells(b, "b")
        case Keep(listing):
            said |= _listing_cells(listing, "a")
        case Name(cluster_id, name):
            said |= {"cluster_id": cluster_id, "name": name}
        case Withdraw(number):
            said |= {"withdrawn": number}
    return {column: said.get(column) for column in COLUMNS}


def _parse_statement(texts: Mapping[str, str]) -> Statement:
    match texts.get("kind"):
        case "same":
            return Same(_listing(texts, "a"), _listing(texts, "b"))
        case "different":
            return Different(_listing(texts, "a"), _listing(texts, "b"))
        case "unsure":
            return Unsure(_listing(texts, "a"), _listing(texts, "b"))
        case "keep":
            if "id_a" not in texts or "id_b" in texts:
                raise CorrectionError("does not name one listing")
            return Keep(_listing(texts, "a"))
        case "name":
            return Name(_whole_number(texts, "cluster_id"), texts.get("name", ""))
        case "withdraw":
            return Withdraw(_whole_number(texts, "withdrawn"))
        case kind:
            raise CorrectionError(f"is of the kind {kind!r}")


def _listing(texts: Mapping[str, str], side: str) -> ListingReference:
    if f"id_{side}" not in texts:
        raise CorrectionError("lacks one of its two listings")
    return ListingReference(texts[f"id_{side}"], texts.get(f"image_{side}"))


def _listing_cells(listing: ListingReference, side: str) -> dict[str, object]:
    return {f"id_{side}": listing.product_base_id, f"image_{side}": listing.image_sha256}


def _whole_number(texts: Mapping[str, str], column: str) -> int:
    """Return a number; spreadsheets write 7 as 7.0."""
    text = texts.get(column, "0")
    try:
        return int(text.removesuffix(".0"))
    except ValueError as error:
        raise CorrectionError(f"has the {column} {text!r}, which is no whole number") from error


def _refuse_unwritable(*texts: str | None) -> None:
    """Refuse what no database holds as text."""
    if any(_UNWRITABLE.search(text) for text in texts if text):
        raise CorrectionError("has a text with a NUL character or half a letter (a lone surrogate)")
