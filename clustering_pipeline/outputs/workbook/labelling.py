"""The user's own workbook with our columns at the right, everything else in it untouched, and a
name for every cluster that has none from a person.
"""

import re
import textwrap
import tomllib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from clustering_pipeline.core.corrections import Same, read_corrections
from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.manifests import (
    CORRECTIONS,
    CROPS,
    OFFERS,
    SEMANTIC_DUPLICATES,
    empty,
)
from clustering_pipeline.core.titles import Quantity, read_quantities
from clustering_pipeline.outputs.prices import listing_offers, product_prices
from clustering_pipeline.outputs.report import (
    CategoryTables,
    Texts,
    confirmed_clusters,
    confirmed_listings,
    read_listings,
    reason_in,
)
from clustering_pipeline.outputs.workbook.contents import (
    Sections,
    Tabs,
    WorkbookNotes,
    cluster_pictures,
    cluster_table,
    clusters_sheet,
    problems_sheet,
    problems_table,
    result_counts,
    summary_sheet,
)
from clustering_pipeline.outputs.workbook.edits import LABELS_MARK, store_labels
from clustering_pipeline.outputs.workbook.formats import LOSSES, ExcelOutput, to_csv, to_parquet
from clustering_pipeline.outputs.workbook.offer_sheets import (
    Confirmed,
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

# Stands between a number and its unit while words are told apart.
JOINED = "\u2060"
WORD = re.compile(rf"[\w%+.,/&'{JOINED}-]*\w[\w%+]*")
QUANTITY = re.compile(
    r"(?<![\w.,])(\d+(?:[.,]\d+)?)\s*(ml|cl|l|lít|kg|g|gr|gram|mg|viên|gói|miếng|túi|tờ|chai|hộp)(?!\w)",
    re.IGNORECASE,
)
# What of a title's quantities tells variants apart.
TELLING_KINDS = ("ml", "g", "pieces", "packs", "spf", "oz")
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
    crops: pd.DataFrame = field(default_factory=lambda: empty(CROPS))
    corrections: pd.DataFrame = field(default_factory=lambda: empty(CORRECTIONS))


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
    names = suggest_names(catalogue, tables.clusters, notes.pack_texts)
    labels = listing_labels(catalogue, tables.clusters, names)
    limits = original.settings.model_copy(
        update={"sheets": tuple(dict.fromkeys(catalogue["sheet"]))}
    )
    table = read_table(content, name, limits)
    sheets = select_sheets(table, name, limits)
    check_same_rows(sheets, labels)
    texts = workbook_texts(settings.language)
    shown = _in_language(labels, texts)
    suffix = Path(output_name).suffix.lower()
    if suffix == ".csv":
        return LabelledWorkbook(to_csv(table, sheets, shown, settings.language), len(labels))
    if suffix == ".parquet":
        made = to_parquet(content, table, sheets, shown, settings.language)
        return LabelledWorkbook(made, len(labels))
    excel = ExcelOutput(
        content, name, table, sheets, limits.max_uncompressed_megabytes, settings.language
    )
    losses = (LOSSES[table.kind],) if table.kind in LOSSES else ()
    by_cluster = cluster_table(labels)
    rows = {int(number): row for row, number in enumerate(by_cluster["cluster_id"], start=2)}
    excel.add_labels(shown, rows if settings.sheets and settings.links else {})
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
            texts,
        ):
            excel.add_sheet(sheet)
        excel.add_sheet(
            clusters_sheet(by_cluster, excel.tabs, pictures, notes.cluster_dates, texts)
        )
        problems = problems_table(catalogue, labels, tables.raw_images)
        excel.add_sheet(problems_sheet(problems, excel.tabs, texts))
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
                texts,
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
    texts: Texts,
) -> Iterator[AddedSheet]:
    catalogue, offers = tables.catalogue, tables.offers
    prices = PriceTables(
        product_prices(
            offers, catalogue, tables.clusters, notes.readings, outlier_z=settings.outlier_z
        ),
        listing_offers(offers, catalogue),
        notes.review,
    )
    confirmed = _confirmed(tables)
    yield products_sheet(by_cluster, prices, pictures, tabs, texts, confirmed)
    titled = catalogue[catalogue["title"].notna()]
    titles = dict(zip(titled["listing"], titled["title"], strict=True))
    yield listings_sheet(labels, titles, prices, tabs, texts, confirmed)


def _confirmed(tables: ResultTables) -> Confirmed:
    said = [recorded.statement for recorded in read_corrections(tables.corrections)]
    if not any(isinstance(statement, Same) for statement in said):
        return Confirmed()
    listings = read_listings(
        CategoryTables(
            category="",
            display_name="",
            catalogue=tables.catalogue,
            raw_images=tables.raw_images,
            crops=tables.crops,
            clean_images=tables.clean_images,
            semantic_duplicates=empty(SEMANTIC_DUPLICATES),
            matches=tables.matches,
            clusters=tables.clusters,
        )
    )
    return Confirmed(confirmed_listings(said, listings), confirmed_clusters(said, listings))


def _in_language(labels: pd.DataFrame, texts: Texts) -> pd.DataFrame:
    """Return the labels with statuses and reasons as they are written for a reader."""
    if texts.language == "en":
        return labels
    return labels.assign(
        status=labels["status"].map(lambda status: texts[f"status_{status}"]),
        reason=labels["reason"].map(
            lambda said: reason_in(said, texts.language), na_action="ignore"
        ),
    )


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
        in_file = by_name[sheet].identifier_at(int(row))
        if in_file and not pd.isna(identifier) and in_file != identifier:
            raise StageError(
                f"Row {row} of sheet {sheet!r} holds the id {in_file!r}, but {identifier!r} when "
                "the catalogue was read: the workbook was exchanged since. Run "
                "`clustering-pipeline sync` to read it again."
            )


def suggest_names(
    catalogue: pd.DataFrame,
    clusters: pd.DataFrame,
    pack_texts: Mapping[str, Sequence[str]] | None = None,
) -> dict[int, str]:
    """Return a name for each cluster number: the words that most titles of its listings share, and
    the quantities that they state.

    Where there are no titles, the words that most packs share, else those of two packs, else the
    largest line on any; `pack_texts`: crop to the lines read on it, the largest of its print. Where
    there is no text either, there is no name.
    """
    clustered = clusters[clusters["status"] == "clustered"].merge(
        catalogue[["listing", "title"]], on="listing"
    )
    texts = pack_texts or {}
    spellings = usual_spellings(catalogue["title"].dropna())
    names = {}
    for number, group in clustered.groupby("cluster_id", sort=True):
        titles = [str(title) for title in group["title"].dropna()]
        packs = [texts[crop] for crop in group["crop_sha256"].dropna() if texts.get(crop)]
        names[int(str(number))] = common_words(titles, spellings) or pack_name(packs)
    return {number: name for number, name in names.items() if name}


def usual_spellings(titles: Iterable[str]) -> dict[str, str]:
    """Return how most titles that do not shout write each word, by the word in lower case."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for title in titles:
        words = WORD.findall(title)
        if not _shouts(words):
            # The first word has a capital for its place alone.
            for word in words[1:]:
                spellings[word.casefold()][word] += 1
    return {word: counts.most_common(1)[0][0] for word, counts in spellings.items()}


def common_words(titles: Sequence[str], spellings: Mapping[str, str] | None = None) -> str:
    """Return the words that more than half of the titles share, as they stand in the plainest of
    those that share most, in sentence case, with the quantities that titles state and none denies.

    What sellers say about the offer instead of the product is left out; "" when nothing is shared.
    `spellings`: how words are written where all of these titles shout.

    Example:
        >>> common_words(["[HOT] Kem Hada Labo 50g", "Kem Hada Labo freeship", "kem HADA LABO"])
        'Kem Hada Labo 50 g'
    """
    split = [WORD.findall(_plain_title(title)) for title in titles]
    counts = Counter(word for words in split for word in {word.casefold() for word in words})
    shared = {word for word, count in counts.items() if count > SHARED * len(titles)}
    candidates = [[word for word in words if word.casefold() in shared] for words in split]
    best = min(candidates, key=_plainness, default=[])
    if not best:
        return ""
    return _with_quantities(_sentence(best, spellings or {}), titles)


def _plain_title(title: str) -> str:
    """Return a title without brackets and selling words, its quantities written in one way."""
    plain = SELLING.sub(" ", BRACKETED.sub(" ", unicodedata.normalize("NFC", title)))
    return QUANTITY.sub(lambda match: f"{match[1]}{JOINED}{match[2].lower()}", plain)


def _shouts(words: Sequence[str]) -> bool:
    letters = [word for word in words if len(word) > 3 and word.isalpha()]
    return sum(word.isupper() for word in letters) > SHARED * len(letters) if letters else False


def _sentence(words: Sequence[str], spellings: Mapping[str, str]) -> str:
    """Return words as a sentence begins, those of titles that shout as others write them."""
    written = list(words)
    if _shouts(words):
        written = [
            word if any(map(str.isdigit, word)) else spellings.get(word.casefold(), word.lower())
            for word in words
        ]
    text = " ".join(written).replace(JOINED, " ")
    return text[:1].upper() + text[1:]


def _with_quantities(name: str, titles: Sequence[str]) -> str:
    """Return a name of at most `MAX_CHARACTERS`, cut between words, with the quantities at its end
    that it lacks.
    """
    stated: dict[str, set[Quantity]] = defaultdict(set)
    for quantity in frozenset().union(*(read_quantities(title) for title in titles)):
        stated[quantity.kind].add(quantity)
    short = textwrap.shorten(name, MAX_CHARACTERS, placeholder="")
    kinds = {quantity.kind for quantity in read_quantities(short)}
    lacking = [
        str(next(iter(values)))
        for kind, values in sorted(stated.items())
        if kind not in kinds and len(values) == 1 and kind in TELLING_KINDS
    ]
    end = "".join(f" {quantity}" for quantity in lacking)
    return textwrap.shorten(short, MAX_CHARACTERS - len(end), placeholder="") + end


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
    words_of_texts = [
        {word.casefold(): word for word in WORD.findall(text) if len(word) >= SHORTEST_READ}
        for text in texts
    ]
    counts = Counter(word for words in words_of_texts for word in words)
    first_seen = {
        word: spelled for words in reversed(words_of_texts) for word, spelled in words.items()
    }
    shared = [first_seen[word] for word, count in counts.most_common() if count > 1]
    return " ".join(shared[:MOST_READ])


def _each_once(name: str) -> str:
    return " ".join({word.casefold(): word for word in name.split()}.values())


def _plainness(words: list[str]) -> tuple[int, int, int, list[str]]:
    """Order titles: most different words first, then those that do not shout, then the shortest."""
    different = len({word.casefold() for word in words})
    return -different, sum(word.isupper() and len(word) > 3 for word in words), len(words), words
