"""The category report: one HTML page that needs nothing beside it, its small pictures included."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.core.markup import open_templates
from clustering_pipeline.core.progress import Fact, Facts
from clustering_pipeline.imaging import ImageError, load_thumbnail, to_jpeg
from clustering_pipeline.outputs.prices import Offer, ProductPrices, money
from clustering_pipeline.outputs.report.charts import (
    CategoryMap,
    draw_map,
    funnel,
    lost_reasons,
    picture_counts,
    size_histogram,
    status_counts,
)
from clustering_pipeline.outputs.report.doubt import (
    Cluster,
    Link,
    known_answers,
    review_order,
    same_titles,
)
from clustering_pipeline.outputs.report.history import ResultHistory
from clustering_pipeline.outputs.report.i18n import Language, Texts, reason_in
from clustering_pipeline.outputs.report.listings import Box, CategoryTables, Listing, read_listings
from clustering_pipeline.outputs.report.pairs import worst_pairs
from clustering_pipeline.settings import MatchSettings, ReportSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.deduplication import FUNNEL_STEPS, draw_funnel
from clustering_pipeline.storage import BlobStore, layout

QUALITY = 72
DRAWING = "_svg"
FUNNEL = "funnel of pictures"
FactsOfSteps = Mapping[str, Facts]


def write_report(
    tables: CategoryTables,
    facts: FactsOfSteps,
    settings: ReportSettings,
    context: StageContext,
    *,
    matching: MatchSettings | None = None,
) -> bytes:
    """Return the report of one category as UTF-8 HTML: self-contained, without any request to
    elsewhere.

    The result is kept in the state folder, so that the next different one can say what changed.

    Args:
        tables: the manifests of the category.
        facts: per step the figures of its last run; "settings" and "versions" are shown in sections
            of their own, and a figure whose name ends with `_svg` names the blob of a drawing.
        settings: language, sizes and what is shown.
        context: the state folder and the pictures.
        matching: the settings under which the matches were made, to show what they saw; the
            defaults when absent.
    """
    language = settings.language
    return report_pages(tables, facts, settings, context, (language,), matching=matching)[language]


def report_pages(
    tables: CategoryTables,
    facts: FactsOfSteps,
    settings: ReportSettings,
    context: StageContext,
    languages: Sequence[Language],
    *,
    matching: MatchSettings | None = None,
) -> dict[Language, bytes]:
    """Return the report in each of some languages; what it tells is computed once. See
    `write_report`.
    """
    environment = open_templates("clustering_pipeline.outputs.report")
    thumbnails = Thumbnails(
        context.blobs, settings.thumbnail_pixels, int(settings.picture_megabytes * 1e6)
    )
    script = _source(environment, "report.js")
    values = {
        "tables": tables,
        "settings": settings,
        "thumbnails": thumbnails,
        "link_words": link_words,
        "certainty": certainty,
        "reason_in": reason_in,
        "style": Markup(_source(environment, "base.css") + _source(environment, "report.css")),
        "script": Markup(script),
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **_content(tables, facts, settings, matching or MatchSettings(), context),
    }
    template = environment.get_template("report.html")
    pages = {}
    for language in languages:
        texts = Texts(language)
        funnel_drawing = _funnel_drawing(values["funnel_facts"], texts)
        pages[language] = template.render(
            texts=texts, funnel_drawing=funnel_drawing, **values
        ).encode()
    return pages


def _funnel_drawing(facts: Facts, texts: Texts) -> str | None:
    """Return the funnel of pictures as a data URI, None before there are figures."""
    if FUNNEL_STEPS[0] not in facts:
        return None
    labels = {step: texts[f"funnel_{step}"] for step in FUNNEL_STEPS}
    return _as_image(draw_funnel(facts, labels, texts.number))


def _as_image(drawing: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(drawing).decode()


def certainty(cluster: Cluster) -> str:
    """Return the word for a cluster's doubt: confirmed (by people), sure, look (worth a look) or
    doubtful.
    """
    if cluster.confirmed:
        return "confirmed"
    return "sure" if cluster.doubt < 0.15 else "look" if cluster.doubt < 0.4 else "doubtful"


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _content(
    tables: CategoryTables,
    facts: FactsOfSteps,
    settings: ReportSettings,
    matching: MatchSettings,
    context: StageContext,
) -> dict[str, Any]:
    listings, clusters = read_listings(tables), review_order(tables)
    several = [cluster for cluster in clusters if cluster.size > 1]
    drawings = _drawings(facts, context)
    # Drawn in the words of each language instead.
    drawings.pop(FUNNEL, None)
    return {
        "funnel_facts": facts.get("clean_images", {}),
        "drawings": drawings,
        "pairs": worst_pairs(several[: settings.pairs_drawn], tables, matching, context),
        "map": CategoryMap()
        if any("projection" in title for title in drawings)
        else draw_map(tables, listings),
        "changes": ResultHistory(context.place(layout.REPORT_HISTORY)).changes(
            tables.category, listings
        ),
        "listings": listings,
        "clusters": clusters,
        "several": several,
        "counts": status_counts(listings),
        "steps": funnel(listings),
        "lost_reasons": lost_reasons(listings),
        "picture_counts": picture_counts(tables),
        "sizes": size_histogram([cluster.size for cluster in clusters]),
        "by_status": _by_status(listings),
        "priced": _priced(tables, clusters),
        "far_prices": _far_prices(tables, listings),
        "money": money,
        "same_titles": same_titles(listings, known_answers(tables, listings)),
        "facts": {
            name: _figures(values)
            for name, values in facts.items()
            if name not in ("settings", "versions") and values
        },
        "settings_in_force": facts.get("settings", {}),
        "versions": facts.get("versions", {}),
    }


def _drawings(facts: FactsOfSteps, context: StageContext) -> dict[str, str]:
    """Return the drawings that the steps left, as data URIs by title; as an image nothing in an SVG
    can run.
    """
    named = {
        name: str(value)
        for values in facts.values()
        for name, value in values.items()
        if name.endswith(DRAWING)
    }
    stored = {name: digest for name, digest in named.items() if context.blobs.has(digest)}
    return {
        name.removesuffix(DRAWING).replace("_", " "): _as_image(context.blobs.get(digest))
        for name, digest in stored.items()
    }


def _figures(values: Facts) -> dict[str, Fact]:
    return {name: value for name, value in values.items() if not name.endswith(DRAWING)}


def _priced(
    tables: CategoryTables, clusters: Sequence[Cluster]
) -> list[tuple[Cluster, ProductPrices]]:
    """Return the clusters with prices, those of most listings first."""
    priced = [
        (cluster, tables.prices[cluster.cluster_id])
        for cluster in clusters
        if cluster.cluster_id in tables.prices
    ]
    with_prices = [(cluster, product) for cluster, product in priced if product.lowest is not None]
    return sorted(with_prices, key=lambda pair: (-pair[0].size, pair[0].cluster_id))


def _far_prices(
    tables: CategoryTables, listings: Sequence[Listing]
) -> list[tuple[Listing, Offer, ProductPrices]]:
    """Return the listings whose price is far from their cluster's, with their offer and the
    cluster's prices.
    """
    by_number = {listing.listing: listing for listing in listings}
    return [
        (by_number[offer.listing], offer, product)
        for product in tables.prices.values()
        for offer in product.far
    ]


def _by_status(listings: Sequence[Listing]) -> dict[str, list[Listing]]:
    groups: dict[str, list[Listing]] = {
        "no_match": [],
        "rejected": [],
        "download_failed": [],
        "invalid_row": [],
    }
    for listing in listings:
        groups.setdefault(listing.status, []).append(listing)
    return groups


def link_words(link: Link, texts: Texts) -> list[tuple[str, bool]]:
    """Return the evidence of a link in words, each with whether it speaks against the match."""
    words = []
    if link.inliers is not None:
        words.append((texts.counted(link.inliers, "evidence_points"), False))
    if link.text_similarity is not None:
        words.append((f"{texts['evidence_text']} {texts.share(link.text_similarity)}", False))
    if link.lines_agreeing:
        words.append((texts.counted(link.lines_agreeing, "evidence_agreeing"), False))
    if link.lines_conflicting:
        words.append((texts.counted(link.lines_conflicting, "evidence_conflicting"), True))
    if link.colour_similarity is not None:
        words.append((f"{texts['evidence_colour']} {texts.share(link.colour_similarity)}", False))
    if link.number_conflict:
        words.append((f"{texts['evidence_numbers']}: {link.number_conflict}", True))
    return words + decisive_words(link, texts)


def decisive_words(link: Link, texts: Texts) -> list[tuple[str, bool]]:
    """Return the kinds of evidence that decided a link, the strongest first, each with whether it
    speaks against the match.
    """
    parts = [part.split(" ") for part in (link.reasons or "").split(", ") if part]
    return [
        (
            f"{texts['reason_' + kind]} "
            f"{texts['speaks_against' if by.startswith('-') else 'speaks_for']}",
            by.startswith("-"),
        )
        for kind, by in parts
    ]


def thumbnail_jpeg(
    blobs: BlobStore, image_sha256: str, box: Box | None, longest_side: int
) -> bytes:
    """Return a JPEG of a stored crop with at most `longest_side` pixels a side; raises ImageError
    and StageError.
    """
    return to_jpeg(load_thumbnail(blobs, image_sha256, box, longest_side), QUALITY)


def data_uri(jpeg: bytes) -> str:
    """Return a JPEG as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


class Thumbnails:
    """Makes thumbnails as data URIs, each once, until the budget is spent; from then on it gives
    none.
    """

    def __init__(self, blobs: BlobStore, longest_side: int, budget: int) -> None:
        """`longest_side`: pixels; `budget`: bytes of JPEG in all."""
        self._blobs = blobs
        self._longest_side = longest_side
        self._left = budget
        self._made: dict[tuple[str, Box | None, int], str | None] = {}

    @property
    def spent(self) -> bool:
        """Whether the budget is used up."""
        return self._left <= 0

    def of(self, listing: Listing, enlarged: int = 1) -> str | None:
        """Return the listing's crop, `enlarged` times as large; None without a readable picture or
        when the budget is spent.
        """
        if listing.image_sha256 is None:
            return None
        key = (listing.image_sha256, listing.box, enlarged)
        if key not in self._made and self.spent:
            return None
        if key not in self._made:
            self._made[key] = self._make(*key)
        return self._made[key]

    def _make(self, image_sha256: str, box: Box | None, enlarged: int) -> str | None:
        try:
            content = thumbnail_jpeg(self._blobs, image_sha256, box, self._longest_side * enlarged)
        except (ImageError, PipelineError):
            return None
        self._left -= len(content)
        return data_uri(content)
