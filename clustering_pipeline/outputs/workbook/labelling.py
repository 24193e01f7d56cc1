"""The user's own workbook with our columns at the right, everything else in it untouched, and a
name for every cluster that has none from a person.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.manifests import OFFERS, empty
from clustering_pipeline.outputs.prices import listing_offers, product_prices
from clustering_pipeline.outputs.workbook.contents import (
    Tabs,
    cluster_pictures,
    cluster_table,
    clusters_sheet,
    problems_sheet,
    problems_table,
    result_counts,
    summary_sheet,
)
from clustering_pipeline.outputs.workbook.edits import LABELS_MARK, store_labels
from clustering_pipeline.outputs.workbook.excel import LOSSES, ExcelOutput
from clustering_pipeline.outputs.workbook.flat import to_csv, to_parquet
from clustering_pipeline.outputs.workbook.notes import Sections, WorkbookNotes
from clustering_pipeline.outputs.workbook.offer_sheets import (
    PriceTables,
    listings_sheet,
    products_sheet,
    workbook_texts,
)
from clustering_pipeline.outputs.workbook.ooxml.added_sheet import AddedSheet, Picture
from clustering_pipeline.outputs.workbook.placement import listing_labels
from clustering_pipeline.settings import CatalogueSettings, OfferSettings, WorkbookSettings
from clustering_pipeline.stages.catalogue import SelectedSheet, read_table, select_sheets
from clustering_pipeline.storage import BlobStore

WORD = re.compile(r"[\w%+.,/&'-]*\w[\w%+]*")
BRACKETED = re.compile(r"[\[(【{][^\])】}]*[\])】}]")
# A word is part of the name when more than this share of a cluster's titles, or of its packs, have
# it.
SHARED = 0.5
MAX_CHARACTERS = 80
# Shorter words read on packs are mostly fragments; more of them than this make no name.
SHORTEST_READ, MOST_READ = 3, 4
SELLING_WORDS: list[str] = tomllib.loads(
    (Path(__file__).parent / "selling_words.toml").read_text(encoding="utf-8")
)["phrases"]
SELLING = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, SELLING_WORDS))})(?!\w)", re.IGNORECASE)


@dataclass(frozen=True)
class LabelledWorkbook:
    """The bytes of the workbook, how many listings it labels, and what of the original could not be
    kept.
    """

    content: bytes
    rows: int
    losses: tuple[str, ...] = ()


@dataclass(frozen=True)
class OriginalWorkbook:
    """The user's own workbook: its bytes and name, and the settings that it was read with."""

    content: bytes
    name: str
    settings: CatalogueSettings


@dataclass(frozen=True)
class ResultTables:
    """The manifests of one run that a label is made from."""

    catalogue: pd.DataFrame
    raw_images: pd.DataFrame
    clean_images: pd.DataFrame
    matches: pd.DataFrame
    clusters: pd.DataFrame
    offers: pd.DataFrame = field(default_factory=lambda: empty(OFFERS))


def label_workbook(
    original: OriginalWorkbook,
    tables: ResultTables,
    *,
    settings: WorkbookSettings,
    blobs: BlobStore,
    output_name: str,
    notes: WorkbookNotes | None = None,
    offer_settings: OfferSettings | None = None,
) -> LabelledWorkbook:
    """Return the workbook with a label beside every listing.

    The suffix of `output_name` decides the format. Raises StageError when the tables do not belong
    to this workbook.
    """
    content, name, catalogue = original.content, original.name, tables.catalogue
    notes = notes or WorkbookNotes()
    names = suggest_names(catalogue, tables.clusters, notes.pack_texts, notes.category_name)
    labels = listing_labels(catalogue, tables.clusters, names)
    limits = original.settings.model_copy(
        update={"sheets": tuple(dict.fromkeys(catalogue["sheet"]))}
    )
    table = read_table(content, name, limits)
    sheets = select_sheets(table, name, limits)
    check_same_rows(sheets, labels)
    suffix = Path(output_name).suffix.lower()
    if suffix == ".csv":
        return LabelledWorkbook(to_csv(table, sheets, labels), len(labels))
    if suffix == ".parquet":
        return LabelledWorkbook(to_parquet(content, table, sheets, labels), len(labels))
    excel = ExcelOutput(content, name, table, sheets, limits.max_uncompressed_megabytes)
    losses = (LOSSES[table.kind],) if table.kind in LOSSES else ()
    by_cluster = cluster_table(labels)
    rows = {int(number): row for row, number in enumerate(by_cluster["cluster_id"], start=2)}
    excel.add_labels(labels, rows if settings.sheets and settings.links else {})
    if settings.sheets:
        pictures = cluster_pictures(by_cluster, tables.clean_images, blobs, settings)
        for sheet in _offer_sheets(
            tables,
            labels,
            by_cluster,
            pictures,
            excel.tabs,
            notes,
            offer_settings or OfferSettings(),
        ):
            excel.add_sheet(sheet)
        excel.add_sheet(clusters_sheet(by_cluster, excel.tabs, pictures, notes.seen))
        problems = problems_table(catalogue, labels, tables.raw_images)
        excel.add_sheet(problems_sheet(problems, excel.tabs))
        counts = {
            **result_counts(labels, tables.matches),
            LABELS_MARK: store_labels(labels, tables.raw_images, notes.category, blobs),
        }
        excel.add_sheet(
            summary_sheet(
                excel.tabs,
                {
                    "Result": counts,
                    **notes.summary,
                    **_listed("Not kept", losses),
                    **_listed("Sorting", excel.remarks),
                },
            )
        )
    return LabelledWorkbook(excel.packed(), len(labels), losses)


def _offer_sheets(
    tables: ResultTables,
    labels: pd.DataFrame,
    by_cluster: pd.DataFrame,
    pictures: Mapping[int, Picture],
    tabs: Tabs,
    notes: WorkbookNotes,
    settings: OfferSettings,
) -> Iterator[AddedSheet]:
    catalogue, offers = tables.catalogue, tables.offers
    prices = PriceTables(
        product_prices(
            offers, catalogue, tables.clusters, notes.readings, outlier_z=settings.outlier_z
        ),
        listing_offers(offers, catalogue),
        notes.review,
    )
    texts = workbook_texts("en")
    yield products_sheet(by_cluster, prices, pictures, tabs, texts)
    titled = catalogue[catalogue["title"].notna()]
    titles = dict(zip(titled["listing"], titled["title"], strict=True))
    yield listings_sheet(labels, titles, prices, tabs, texts)


def _listed(title: str, sentences: Sequence[str]) -> Sections:
    numbered = {str(number): sentence for number, sentence in enumerate(sentences, start=1)}
    return {title: numbered} if numbered else {}


def check_same_rows(sheets: list[SelectedSheet], labels: pd.DataFrame) -> None:
    """Raise StageError when a listing's id is not on its row: the workbook was exchanged since the
    catalogue was read.
    """
    by_name = {sheet.table.name: sheet for sheet in sheets}
    for sheet, row, identifier in zip(
        labels["sheet"], labels["sheet_row"], labels["product_base_id"], strict=True
    ):
        found = by_name[sheet].identifier_at(int(row))
        if found and not pd.isna(identifier) and found != identifier:
            raise StageError(
                f"Row {row} of sheet {sheet!r} holds the id {found!r}, but {identifier!r} when the "
                "catalogue was read: the workbook was exchanged since. Run `clustering-pipeline "
                "sync` to read it again."
            )


def suggest_names(
    catalogue: pd.DataFrame,
    clusters: pd.DataFrame,
    pack_texts: Mapping[str, Sequence[str]] | None = None,
    category_name: str = "",
) -> dict[int, str]:
    """Return a name for each cluster number: the words that most titles of its listings share.

    Where there are no titles, the words that most packs share, else those of two packs, else the
    largest line on any; `pack_texts`: crop to the lines read on it, the largest of its print. Where
    there is no text either, the category's name.
    """
    clustered = clusters[clusters["status"] == "clustered"].merge(
        catalogue[["listing", "title"]], on="listing"
    )
    texts = pack_texts or {}
    names = {}
    for number, group in clustered.groupby("cluster_id", sort=True):
        titles = [str(title) for title in group["title"].dropna()]
        packs = [texts[crop] for crop in group["crop_sha256"].dropna() if texts.get(crop)]
        names[int(str(number))] = common_words(titles) or pack_name(packs) or category_name
    return {number: name for number, name in names.items() if name}


def common_words(titles: Sequence[str]) -> str:
    """Return the words that more than half of the titles share, as they stand in the plainest of
    those that share most.

    What sellers say about the offer instead of the product is left out; "" when nothing is shared.

    Example:
        >>> common_words(["[HOT] Kem Hada Labo 50g", "Kem Hada Labo freeship", "kem HADA LABO"])
        'Kem Hada Labo'
    """
    split = [WORD.findall(SELLING.sub(" ", BRACKETED.sub(" ", title))) for title in titles]
    counts = Counter(word for words in split for word in {word.casefold() for word in words})
    shared = {word for word, count in counts.items() if count > SHARED * len(titles)}
    candidates = [[word for word in words if word.casefold() in shared] for words in split]
    best = min(candidates, key=_plainness, default=[])
    return " ".join(best)[:MAX_CHARACTERS].strip()


def pack_name(packs: Sequence[Sequence[str]]) -> str:
    """Return what the packs of one cluster, each as its lines, agree to be called; "" when nothing
    was read.

    Reading errs, and not every pack is read: what two packs have in common is taken where most have
    nothing in common.
    """
    whole = [" ".join(lines) for lines in packs]
    longest = max((line for lines in packs for line in lines), key=len, default="")
    return _each_once(common_words(whole)) or _words_of_two(whole) or longest[:MAX_CHARACTERS]


def _words_of_two(texts: Sequence[str]) -> str:
    found = [
        {word.casefold(): word for word in WORD.findall(text) if len(word) >= SHORTEST_READ}
        for text in texts
    ]
    counts = Counter(word for words in found for word in words)
    first_seen = {word: spelled for words in reversed(found) for word, spelled in words.items()}
    shared = [first_seen[word] for word, count in counts.most_common() if count > 1]
    return " ".join(shared[:MOST_READ])


def _each_once(name: str) -> str:
    return " ".join({word.casefold(): word for word in name.split()}.values())


def _plainness(words: list[str]) -> tuple[int, int, int, list[str]]:
    """Order titles: most different words first, then those that do not shout, then the shortest."""
    different = len({word.casefold() for word in words})
    return -different, sum(word.isupper() and len(word) > 3 for word in words), len(words), words
