"""What a run found, as tables, pictures and answers."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd

from clustering_pipeline.api.arrays import Picture, pixels_of
from clustering_pipeline.api.display import (
    Evidence,
    Shown,
    ShownCluster,
    Tile,
    pair_of,
    picture_uri,
)
from clustering_pipeline.api.running import ProjectCategory, run_clusters
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.evaluation import Truth, read_truth, score_clusters
from clustering_pipeline.outputs.report import (
    CategoryTables,
    Cluster,
    Listing,
    read_listings,
    review_order,
)
from clustering_pipeline.outputs.search import (
    PictureSearch,
    QuerySettings,
    SearchIndex,
    index_category,
)
from clustering_pipeline.outputs.workbook import (
    OriginalWorkbook,
    ResultTables,
    WorkbookNotes,
    check_output,
    label_workbook,
    pack_texts,
    summary_sections,
)
from clustering_pipeline.review import Signature, actions
from clustering_pipeline.stages.offers import PriceHistory
from clustering_pipeline.storage import FileTree

IdPair = tuple[str, str]
Truths = str | Path | Mapping[str, object] | pd.Series | pd.DataFrame
TILE_PIXELS = 160
AUTHOR = "python"


class Grouping:
    """The listings of one catalogue with the products they were grouped into.

    `group` and `open_project` make it. A row of every table is told by the ids of the catalogue.
    """

    def __init__(
        self, place: ProjectCategory, frames: Mapping[str, pd.DataFrame], keeps: object = None
    ) -> None:
        """`frames`: the manifests by name. `keeps`: what must live as long as the grouping, such as
        its temporary folder.
        """
        self._place = place
        self._frames = dict(frames)
        self._keeps = keeps

    @property
    def name(self) -> str:
        """The name of the category."""
        return self._tables.display_name

    @property
    def folder(self) -> Path:
        """Where pictures, features and results lie; DAGSTER_HOME for the commands."""
        return self._place.project.home.path

    @property
    def manifests(self) -> Mapping[str, pd.DataFrame]:
        """The table that each stage returned, by its name, such as `matches`."""
        return dict(self._frames)

    @cached_property
    def listings(self) -> pd.DataFrame:
        """A row per listing in the order of the catalogue.

        `cluster_id` is -1 for what matches nothing and missing for what could not be compared;
        `reason` says why. `confidence` (0 to 1): how likely the listing belongs to its cluster.
        """
        rows = [
            {
                "id": one.product_base_id,
                "title": one.title,
                "cluster_id": one.cluster_id,
                "cluster_name": one.cluster_name,
                "cluster_size": one.cluster_size,
                "status": one.status,
                "reason": one.reason,
                "confidence": one.confidence,
                "is_representative": one.is_representative,
                "url": one.link or "",
            }
            for one in self._listings
        ]
        return pd.DataFrame(rows).astype({"cluster_id": "Int64", "confidence": "Float64"})

    @cached_property
    def clusters(self) -> pd.DataFrame:
        """A row per cluster, by its `cluster_id`, the largest first.

        `doubt` (0 to 1): one less the probability of the cluster's weakest link.
        """
        rows = [
            {
                "cluster_id": one.cluster_id,
                "name": one.name,
                "listings": one.size,
                "pictures": len(one.pictures),
                "confidence": _least_confidence(one),
                "doubt": one.doubt,
                "representative": one.representative.product_base_id,
            }
            for one in self._by_size
        ]
        columns = list(rows[0]) if rows else ["cluster_id", "name", "listings"]
        return pd.DataFrame(rows, columns=columns).set_index("cluster_id")

    @cached_property
    def products(self) -> pd.DataFrame:
        """A row per product: every cluster, and every listing that matches nothing on its own.

        `ids` are those of its listings, the one that shows it best first.
        """
        alone = [one for one in self._listings if one.status == "no_match"]
        rows = [
            (one.name, one.size, one.cluster_id, [item.product_base_id for item in one.listings])
            for one in self._by_size
        ]
        rows += [(one.title, 1, -1, [one.product_base_id]) for one in alone]
        return pd.DataFrame(rows, columns=["name", "listings", "cluster_id", "ids"])

    def show(
        self,
        count: int = 12,
        *,
        pictures: int = 6,
        order: Literal["size", "doubt"] = "size",
    ) -> Shown:
        """Return `count` clusters to look at, the largest or the most doubtful first, with so many
        `pictures` each.
        """
        clusters = self._by_size if order == "size" else self._by_doubt
        return Shown(
            str(self),
            [self._shown(one, pictures) for one in clusters[:count]],
            max(0, len(clusters) - count),
        )

    def same(self, first: object, second: object) -> bool:
        """Whether two listings, by their ids, are in one cluster; raises InputError for an id that
        is not here.
        """
        return self.matches(first, second).same

    def matches(self, first: object, second: object) -> Evidence:
        """Return what speaks for and against two listings, by their ids, being one product; raises
        InputError for an id that is not here.
        """
        pair = self._listing(first), self._listing(second)
        return pair_of(self._tables, self._place.project.blobs, *pair)

    def search(self, picture: Picture, top: int = 10) -> pd.DataFrame:
        """Return the `top` listings that show what a picture shows, the likeliest first.

        `picture`: a path, a URL, bytes, a PIL image or RGB pixels, uint8 (height, width, 3).
        `score` is the cosine of both pictures, `probability` that of one product by print and
        silhouette, `points` how many points of print agree. Raises InputError and ImageError.
        """
        query = self._search.describe(pixels_of(picture, self._place.settings.download))
        rows = [
            {
                "id": result.hit.product_base_id,
                "title": result.hit.title,
                "cluster_id": result.hit.cluster_id,
                "score": result.hit.score,
                "probability": result.judgement.probability,
                "points": result.matched_points,
                "verified": result.verified,
            }
            for result in self._search.search(query, top)
        ]
        return pd.DataFrame(rows).astype({"cluster_id": "Int64"})

    def evaluate(self, truth: Truths) -> "pd.Series[float]":
        """Return the scores of the grouping against the true products: pairwise and BCubed
        precision, recall and F1, and more.

        `truth`: a product per id (a mapping, a series, or a frame with the columns `id` and
        `group`), or a CSV of `image,group` or `product_base_id,group`. Listings that it does not
        name are left out. Raises InputError when it names none.
        """
        labels = _read_truth(truth)
        keyed = [(labels.key_of(self._key(labels, one)), one) for one in self._listings]
        pairs = [(labels.groups[key], one.cluster_id) for key, one in keyed if key is not None]
        if not pairs:
            raise InputError(
                f"The truth names none of the {len(keyed):,} listings; it speaks of "
                f"{next(iter(labels.groups), 'nothing')!r}, the listings are called "
                f"{self._listings[0].product_base_id!r}. Give ids as the catalogue has them."
            )
        scores = score_clusters(*(list(part) for part in zip(*pairs, strict=True)))
        return pd.Series({"listings_scored": float(len(pairs)), **scores}, name=self.name)

    def to_excel(self, path: str | Path) -> Path:
        """Write the catalogue with the cluster of every listing beside it and return the path; the
        suffix may be .xlsx, .xlsm, .csv or .parquet.

        Raises InputError when the file cannot be written, or is the catalogue itself.
        """
        target, source = Path(path).expanduser().absolute(), self._place.source
        check_output(Path(source.path).absolute(), target)
        context, settings = self._place.context, self._place.settings
        texts = pack_texts(
            self._frames["catalogue"],
            self._frames["clusters"],
            self._frames["local_features"],
            settings.matches,
            context,
        )
        names = [one.name for one in fields(ResultTables)]
        labelled = label_workbook(
            OriginalWorkbook(context.blobs.get(source.sha256), source.name, settings.catalogue),
            ResultTables(**{name: self._frames[name] for name in names if name in self._frames}),
            settings=settings.workbook,
            blobs=context.blobs,
            output_name=target.name,
            offer_settings=settings.offers,
            notes=WorkbookNotes(
                category=self._place.category,
                summary=summary_sections(source.name, source.sha256, settings),
                pack_texts=texts,
                readings=PriceHistory(context.blobs.files, self._place.category).readings(),
            ),
        )
        try:
            target.write_bytes(labelled.content)
        except OSError as error:
            raise InputError(
                f"{target} cannot be written ({error.strerror}). Close it elsewhere, or give "
                "another path."
            ) from error
        return target

    def corrected(
        self, *, same: Iterable[IdPair] = (), different: Iterable[IdPair] = (), author: str = AUTHOR
    ) -> "Grouping":
        """Return a grouping in which the pairs of ids of `same` are one product, and those of
        `different` are two; this one stays as it is.

        The statements are recorded, so that later runs in the same folder honour them. Raises
        InputError for an id that is not here.
        """
        by = Signature(author, self._place.category)
        stated = [
            statement
            for pairs, state in ((same, actions.same), (different, actions.different))
            for first, second in pairs
            for statement in state(self._listing(first), self._listing(second), by)
        ]
        self._place.check_own()
        self._place.project.corrections.add_new(stated)
        return Grouping(self._place, run_clusters(self._place, self._frames), self._keeps)

    def __len__(self) -> int:
        """How many listings there are."""
        return len(self._listings)

    def __str__(self) -> str:
        counts = self._frames["clusters"]["status"].value_counts()
        counts_by_status = ", ".join(
            f"{count:,} {str(status).replace('_', ' ')}" for status, count in counts.items()
        )
        return (
            f"{self.name}: {len(self):,} listings, {len(self._by_size):,} clusters "
            f"({counts_by_status})"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.show(6)._repr_html_()

    @cached_property
    def _tables(self) -> CategoryTables:
        return self._place.tables(self._frames)

    @cached_property
    def _listings(self) -> list[Listing]:
        return read_listings(self._tables)

    @cached_property
    def _by_doubt(self) -> list[Cluster]:
        return review_order(self._tables)

    @cached_property
    def _by_size(self) -> list[Cluster]:
        return sorted(self._by_doubt, key=lambda one: (-one.size, one.cluster_id))

    @cached_property
    def _by_id(self) -> Mapping[str, Listing]:
        """The first listing of each id; of several one that was compared."""
        ordered = sorted(self._listings, key=lambda one: (one.keeper is None, one.listing))
        by_id: dict[str, Listing] = {}
        for one in ordered:
            by_id.setdefault(one.product_base_id, one)
        return by_id

    @cached_property
    def _search(self) -> PictureSearch:
        frames, settings, context = self._frames, self._place.settings, self._place.context
        files = FileTree(self._place.project.search_root(self._place.category))
        if self._place.is_own:
            index_category(frames, QuerySettings.of(settings), settings.search, context, files)
        return PictureSearch(SearchIndex.load(files), context)

    def _listing(self, identifier: object) -> Listing:
        name = str(identifier)
        if name not in self._by_id:
            near = get_close_matches(name, self._by_id, 1)
            meant = f" Is {near[0]!r} meant?" if near else ""
            raise InputError(f"{self.name} has no listing with the id {name!r}.{meant}")
        return self._by_id[name]

    @staticmethod
    def _key(truth: Truth, listing: Listing) -> str:
        return listing.product_base_id if truth.key == "product_base_id" else listing.url

    def _shown(self, cluster: Cluster, pictures: int) -> ShownCluster:
        blobs, shown = self._place.project.blobs, cluster.pictures[:pictures]
        return ShownCluster(
            number=cluster.cluster_id,
            name=cluster.name,
            listings=cluster.size,
            confidence=_least_confidence(cluster),
            tiles=[
                Tile(picture_uri(blobs, one, TILE_PIXELS), one.title or one.product_base_id)
                for one in shown
            ],
            more=len(cluster.pictures) - len(shown),
        )


def _least_confidence(cluster: Cluster) -> float | None:
    confidences = [one.confidence for one in cluster.listings if one.confidence is not None]
    return min(confidences) if confidences else None


def _read_truth(truth: Truths) -> Truth:
    if isinstance(truth, str | Path):
        return read_truth(Path(truth))
    if isinstance(truth, pd.DataFrame):
        if not {"id", "group"} <= set(truth.columns):
            raise InputError(
                f"The truth has the columns {', '.join(map(str, truth.columns))}. It needs `id` "
                "and `group`."
            )
        truth = dict(zip(truth["id"], truth["group"], strict=True))
    return Truth("product_base_id", {str(key): str(group) for key, group in truth.items()})
