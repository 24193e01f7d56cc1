"""What a person does to clusters, as statements for the store of corrections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.outputs.report import Cluster, Listing
from clustering_pipeline.outputs.workbook import read_label_edits
from clustering_pipeline.review.files import SUFFIXES, read_statements
from clustering_pipeline.review.store import DIFFERENT, KEEP, NAME, SAME
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.storage import BlobStore

Statement = Mapping[str, object]


@dataclass(frozen=True)
class Signature:
    """Who states something, and of which category."""

    author: str
    category: str


def same(a: Listing, b: Listing, by: Signature) -> list[Statement]:
    """Return the statement that two listings show one product."""
    return [_pair(SAME, a, b, by)]


def different(a: Listing, b: Listing, by: Signature) -> list[Statement]:
    """Return the statement that two listings show two products."""
    return [_pair(DIFFERENT, a, b, by)]


def merge(first: Cluster, second: Cluster, by: Signature) -> list[Statement]:
    """Return what joins two clusters: their representatives show one product."""
    if first.cluster_id == second.cluster_id:
        raise InputError(
            f"Cluster {first.cluster_id} cannot be merged with itself. Choose another cluster."
        )
    return same(first.representative, second.representative, by)


def split(cluster: Cluster, chosen: Sequence[Listing], by: Signature) -> list[Statement]:
    """Return what takes the chosen listings out of a cluster into one of their own.

    The chosen are the same product as the first of them, and each differs from the first that
    stays.
    """
    staying = _others(cluster, chosen)
    together = [_pair(SAME, chosen[0], listing, by) for listing in chosen[1:]]
    return [*together, *(_pair(DIFFERENT, listing, staying[0], by) for listing in chosen)]


def move(
    cluster: Cluster, chosen: Sequence[Listing], target: Cluster, by: Signature
) -> list[Statement]:
    """Return what moves the chosen listings of a cluster to another one."""
    if target.cluster_id == cluster.cluster_id:
        raise InputError(
            f"The listings are in cluster {target.cluster_id} already. Choose another cluster."
        )
    staying = _others(cluster, chosen)
    statements: list[Statement] = []
    for listing in chosen:
        statements += [
            _pair(DIFFERENT, listing, staying[0], by),
            _pair(SAME, listing, target.representative, by),
        ]
    return statements


def name(cluster: Cluster, text: str, by: Signature) -> list[Statement]:
    """Return the statement of what people call a cluster."""
    return [
        {
            "kind": NAME,
            "cluster_id": cluster.cluster_id,
            "name": text,
            "category": by.category,
            "author": by.author,
        }
    ]


def keep(listing: Listing, by: Signature) -> list[Statement]:
    """Return the statement that a listing's picture is to be compared although the pipeline
    rejected it.
    """
    place = {"id_a": listing.product_base_id, "image_a": listing.image_sha256}
    return [{"kind": KEEP, **place, "category": by.category, "author": by.author}]


def _others(cluster: Cluster, chosen: Sequence[Listing]) -> list[Listing]:
    numbers = {listing.listing for listing in chosen}
    staying = [listing for listing in cluster.listings if listing.listing not in numbers]
    if not chosen or not staying:
        raise InputError(
            "Choose at least one listing of the cluster, and leave at least one in it."
        )
    return staying


def _pair(kind: str, a: Listing, b: Listing, by: Signature) -> Statement:
    return {
        "kind": kind,
        "id_a": a.product_base_id,
        "image_a": a.image_sha256,
        "id_b": b.product_base_id,
        "image_b": b.image_sha256,
        "category": by.category,
        "author": by.author,
    }


WORKBOOKS = (".xlsx", ".xlsm", ".ods")


INCOMING_SUFFIXES = tuple(sorted({*WORKBOOKS, *SUFFIXES}))


@dataclass(frozen=True)
class Incoming:
    """The statements of a file; `category` is that of a labelled workbook, None for a list of
    statements.
    """

    statements: Sequence[Statement]
    category: str | None = None


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
            signed = [
                {**row, "category": edits.category, "author": author} for row in edits.statements
            ]
            return Incoming(signed, edits.category)
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{path.name} is neither a labelled workbook of ours nor a list of corrections."
            )
    return Incoming(read_statements(path, author))
