"""What a person does to clusters, as corrections for their store, and which clusters somebody
has looked at.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, delete, insert, select

from clustering_pipeline.core.corrections import (
    Correction,
    Different,
    Keep,
    ListingReference,
    Name,
    Same,
    Statement,
    Unsure,
)
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.outputs.report import Cluster, Listing
from clustering_pipeline.outputs.workbook import read_label_edits
from clustering_pipeline.review.files import SUFFIXES, read_corrections_file, refuse_long
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.storage import BlobStore, Database, SharedDatabase

_TABLES = MetaData()
_ROWS = Table(
    "looked_at",
    _TABLES,
    *(Column(name, Text, primary_key=True) for name in ("category", "content")),
    Column("cluster_id", BigInteger),
    *(Column(name, Text, nullable=False) for name in ("author", "time")),
)


# Of one action, so that it can be undone as one.
MOST_STATEMENTS = 1000


@dataclass(frozen=True)
class Signature:
    """Who states something, and of which category."""

    author: str
    category: str

    def under(self, statement: Statement) -> Correction:
        """Return a statement with this signature."""
        return Correction(statement, self.author, self.category)


def same(a: Listing, b: Listing, by: Signature) -> list[Correction]:
    """Return the statement that two listings show one product."""
    return [by.under(Same(_reference(a), _reference(b)))]


def different(a: Listing, b: Listing, by: Signature) -> list[Correction]:
    """Return the statement that two listings show two products."""
    return [by.under(Different(_reference(a), _reference(b)))]


def unsure(a: Listing, b: Listing, by: Signature) -> list[Correction]:
    """Return the statement that nobody can tell from two listings whether they show one product."""
    return [by.under(Unsure(_reference(a), _reference(b)))]


def merge(first: Cluster, second: Cluster, by: Signature) -> list[Correction]:
    """Return what joins two clusters: their representatives show one product."""
    if first.cluster_id == second.cluster_id:
        raise InputError(
            f"Cluster {first.cluster_id} cannot be merged with itself. Choose another cluster."
        )
    return same(first.representative, second.representative, by)


@dataclass(frozen=True)
class Part:
    """Listings that a person chose among those of one cluster, or of none, and those that were
    not chosen there.
    """

    chosen: Sequence[Listing]
    staying: Sequence[Listing] = ()


def split(
    cluster: Cluster, chosen: Sequence[Listing], by: Signature, *, together: bool = True
) -> list[Correction]:
    """Return what takes the chosen listings out of a cluster: into one of their own, or each
    picture into its own when not `together`.

    They differ from every picture that stays, so that none of these follows them.
    """
    return take_out([Part(chosen, _others(cluster, chosen))], by, together=together)


def take_out(parts: Sequence[Part], by: Signature, *, together: bool = True) -> list[Correction]:
    """Return what takes the chosen listings out of their clusters, as `split` does out of one;
    `together`: all of them into one cluster.

    Raises InputError where that would change nothing.
    """
    pictures = [_one_each(part.chosen) for part in parts]
    copies = [
        statement
        for part, shown in zip(parts, pictures, strict=True)
        for picture in shown
        for statement in _copies(picture, part.chosen, by)
    ]
    staying = [_one_each(part.staying) for part in parts]
    everyone = [picture for shown in pictures for picture in shown]
    if not any(staying) and (len(everyone) < 2 or (together and len(parts) < 2)):
        raise InputError(
            "Choose at least one listing of the cluster, and leave at least one in it."
        )
    if together:
        first, *further = everyone
        joined = [by.under(Same(_reference(first), _reference(other))) for other in further]
        rest = [one for stays in staying for one in stays]
        return _within_limit([*copies, *joined, *_apart([first], rest, by)])
    apart = [
        statement
        for shown, stays in zip(pictures, staying, strict=True)
        for statement in [*_pairwise(shown, by), *_apart(shown, stays, by)]
    ]
    return _within_limit([*copies, *apart])


def one_product(chosen: Sequence[Listing], by: Signature) -> list[Correction]:
    """Return the statements that all chosen listings show one product, by which their clusters
    become one; raises InputError for fewer than two pictures.
    """
    pictures = _one_each(chosen)
    if len(pictures) < 2:
        raise InputError("Choose at least two pictures.")
    first, *further = pictures
    return _within_limit(
        [by.under(Same(_reference(first), _reference(other))) for other in further]
    )


def move(
    cluster: Cluster, chosen: Sequence[Listing], target: Cluster, by: Signature
) -> list[Correction]:
    """Return what moves the chosen listings of a cluster to another one; they differ from every
    picture that stays.
    """
    if target.cluster_id != cluster.cluster_id:
        _others(cluster, chosen)
    return move_to(target, [Part(chosen, _staying(cluster, chosen))], by)


def move_to(target: Cluster, parts: Sequence[Part], by: Signature) -> list[Correction]:
    """Return what moves chosen listings to a cluster, as `move` does from one; raises InputError
    where they are in it already.
    """
    moved = [
        part for part in parts if part.chosen and part.chosen[0].cluster_id != target.cluster_id
    ]
    if not moved:
        raise InputError(
            f"The listings are in cluster {target.cluster_id} already. Choose another cluster."
        )
    # The chosen are one product with the target: what the first differs from, all differ from.
    statements = [
        statement
        for part in moved
        for staying in [_one_each(part.staying)]
        for statement in [
            *_apart(part.chosen[1:], staying[:1], by),
            *_apart(part.chosen[:1], staying, by),
            *(
                by.under(Same(_reference(one), _reference(target.representative)))
                for one in part.chosen
            ),
        ]
    ]
    return _within_limit(statements)


def _pairwise(pictures: Sequence[Listing], by: Signature) -> list[Correction]:
    return [
        by.under(Different(_reference(one), _reference(other)))
        for one, other in combinations(pictures, 2)
    ]


def _one_each(listings: Sequence[Listing]) -> list[Listing]:
    """Return the first listing of each distinct picture."""
    return list(
        {listing.keeper or listing.listing: listing for listing in reversed(listings)}.values()
    )[::-1]


def _copies(picture: Listing, listings: Sequence[Listing], by: Signature) -> list[Correction]:
    return [
        by.under(Same(_reference(picture), _reference(listing)))
        for listing in listings
        if picture.keeper is not None
        and listing.keeper == picture.keeper
        and _reference(listing) != _reference(picture)
    ]


def _apart(
    chosen: Sequence[Listing], staying: Sequence[Listing], by: Signature
) -> list[Correction]:
    return [
        by.under(Different(_reference(one), _reference(other)))
        for one in chosen
        for other in staying
    ]


def _within_limit(statements: list[Correction]) -> list[Correction]:
    if len(statements) > MOST_STATEMENTS:
        raise InputError(
            f"That would be {len(statements):,} statements at once, and {MOST_STATEMENTS:,} is the "
            f"most. Choose fewer pictures."
        )
    return statements


def name(cluster: Cluster, text: str, by: Signature) -> list[Correction]:
    """Return the statement of what people call a cluster; raises InputError for no name."""
    if not text:
        raise InputError("Type a name.")
    return [by.under(Name(cluster.cluster_id, text))]


def keep(listing: Listing, by: Signature) -> list[Correction]:
    """Return the statement that a listing's picture is to be compared although the pipeline
    rejected it.
    """
    return [by.under(Keep(_reference(listing)))]


def _staying(cluster: Cluster, chosen: Sequence[Listing]) -> list[Listing]:
    numbers = {listing.listing for listing in chosen}
    return [listing for listing in cluster.listings if listing.listing not in numbers]


def _others(cluster: Cluster, chosen: Sequence[Listing]) -> list[Listing]:
    staying = _staying(cluster, chosen)
    if not chosen or not staying:
        raise InputError(
            "Choose at least one listing of the cluster, and leave at least one in it."
        )
    return staying


def _reference(listing: Listing) -> ListingReference:
    return ListingReference(listing.product_base_id, listing.image_sha256)


WORKBOOKS = (".xlsx", ".xlsm", ".ods")


INCOMING_SUFFIXES = tuple(sorted({*WORKBOOKS, *SUFFIXES}))


@dataclass(frozen=True)
class Incoming:
    """The corrections of a file; `category` is that of a labelled workbook, None for a list of
    corrections.
    """

    corrections: Sequence[Correction]
    category: str | None = None


def unknown_references(
    corrections: Sequence[Correction], identifiers: Mapping[str, Collection[str]]
) -> list[str]:
    """Return a sentence for each category and each listing that corrections name and nobody knows.

    `identifiers`: the ids of the listings by category.
    """
    everywhere = {identifier for ids in identifiers.values() for identifier in ids}
    categories, listings = dict[str, None](), dict[str, None]()
    for correction in corrections:
        category = correction.category
        if category is not None and category not in identifiers:
            categories[f"The category {category!r} is not known here."] = None
            continue
        ids = everywhere if category is None else identifiers[category]
        place = f"in {category}" if category else "in any category"
        for reference in references(correction.statement):
            if reference.product_base_id not in ids:
                listings[f"No listing {reference.product_base_id!r} is {place}."] = None
    return [*categories, *listings]


def names_placed(corrections: Sequence[Correction], categories: Sequence[str]) -> list[Correction]:
    """Return corrections in which every name is that of one category's cluster: the number of a
    cluster is another one's in another category.

    `categories`: those that may be meant. Raises InputError for a name that may be of several.
    """
    placed = []
    for correction in corrections:
        said = correction.statement
        if isinstance(said, Name) and correction.category is None and categories:
            if len(categories) > 1:
                raise InputError(
                    f"The name {said.name!r} of cluster {said.cluster_id} does not tell its "
                    f"category. Write one of {', '.join(categories)} beside it in the column "
                    f"category; nothing was recorded."
                )
            correction = replace(correction, category=categories[0])
        placed.append(correction)
    return placed


def references(statement: Statement) -> tuple[ListingReference, ...]:
    """Return the listings that a statement names."""
    if isinstance(statement, Same | Different | Unsure):
        return statement.a, statement.b
    return (statement.listing,) if isinstance(statement, Keep) else ()


def read_incoming(
    path: Path, author: str, blobs: BlobStore, settings: CatalogueSettings
) -> Incoming:
    """Return what a file says, signed by `author` where it names nobody.

    `blobs`: the store with the labels that workbooks were written with. Raises InputError when the
    file says nothing that can be understood.
    """
    if path.suffix.lower() in WORKBOOKS and path.is_file():
        edits = read_label_edits(path, blobs, settings)
        if edits is not None:
            signature = Signature(author, edits.category)
            stated = [signature.under(said) for said in edits.statements]
            for correction in stated:
                refuse_long(correction)
            return Incoming(stated, edits.category)
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{path.name} is neither a labelled workbook of ours nor a list of corrections."
            )
    return Incoming(read_corrections_file(path, author, settings))


class ReviewProgress:
    """Remembers looked-at clusters by their content: a cluster that gains or loses a listing is to
    be looked at again.
    """

    def __init__(self, place: Path | str | SharedDatabase) -> None:
        """`place`: a SQLite file, created when missing, or an URL as for the corrections."""
        self._database = Database(place, _TABLES, "record of what was looked at")

    def mark(self, category: str, cluster: Cluster, *, author: str) -> None:
        """Record that a person has looked at a cluster."""
        mark = {"category": category, "content": content_of(cluster)}
        time = datetime.now(UTC).isoformat(timespec="seconds")
        with self._database.writing() as connection:
            connection.execute(delete(_ROWS).filter_by(**mark))
            connection.execute(
                insert(_ROWS),
                {**mark, "cluster_id": cluster.cluster_id, "author": author, "time": time},
            )

    def clear(self, category: str, cluster: Cluster) -> None:
        """Forget that somebody has looked at a cluster."""
        with self._database.writing() as connection:
            connection.execute(
                delete(_ROWS).filter_by(category=category, content=content_of(cluster))
            )

    def looked_at(self, category: str, clusters: Sequence[Cluster]) -> set[int]:
        """Return the numbers of those clusters that somebody has looked at as they are now."""
        with self._database.reading() as connection:
            contents = set(
                connection.execute(
                    select(_ROWS.c.content).where(_ROWS.c.category == category)
                ).scalars()
            )
        return {cluster.cluster_id for cluster in clusters if content_of(cluster) in contents}


def content_of(cluster: Cluster) -> str:
    """Return the hash of what a cluster consists of: its listings' ids and pictures."""
    members = sorted(
        f"{listing.product_base_id}\0{listing.image_sha256}" for listing in cluster.listings
    )
    return hashlib.sha256("\n".join(members).encode()).hexdigest()
