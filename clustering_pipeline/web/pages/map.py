"""The map of a category: every picture at its place, and what a person does to those that are
chosen on it.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from clustering_pipeline.core.corrections import Correction
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.outputs.prices import Offer
from clustering_pipeline.outputs.report import Answers, Cluster
from clustering_pipeline.review import (
    Picture,
    Placed,
    Signature,
    Tie,
    actions,
    ties_between,
    ties_within,
)
from clustering_pipeline.web.category_cache import Category, Library, UnknownError
from clustering_pipeline.web.pages.review import MOST_NAMES, reviewable
from clustering_pipeline.web.rendering import Pages, Secret, check_seen, error_in, language_of

# Chosen at once, as many as statements may be.
MOST_CHOSEN = 1000
# Digits of no listing's number: Python refuses to read thousands of them.
LONGEST_NUMBER = 16
LONGEST_TITLE = 90
Act = Literal["same", "together", "each", "move", "name"]


def map_router(library: Library, pages: Pages) -> APIRouter:
    """Return the routes of the map."""
    router = APIRouter(include_in_schema=False)

    @router.get("/c/{slug}/map")
    def shown(request: Request, slug: str) -> HTMLResponse:
        category = library.category(slug)
        return pages.render(
            request,
            "map.html",
            category=category,
            stamp=category.grouping_stamp,
            pending=len(library.pending(category)),
            names=[one for one in reviewable(category) if one.name][:MOST_NAMES],
        )

    @router.get("/c/{slug}/map/points")
    def points(slug: str) -> Response:
        category = library.category(slug)
        said = [one.statement for one in library.corrections.in_force(slug)]
        answers = Answers(said, category.listings.values())
        return JSONResponse(map_content(category, *library.map(slug), answers))

    @router.post("/c/{slug}/map")
    def act(
        request: Request,
        slug: str,
        secret: Secret,
        act: Annotated[Act, Form()],
        listings: Annotated[str, Form(max_length=20_000)] = "",
        text: Annotated[str, Form(max_length=400)] = "",
    ) -> Response:
        pages.check_form(secret)
        category = library.category(slug)
        by = Signature(pages.author(request), slug)
        try:
            check_seen(secret, category.grouping_stamp)
            stated = stated_by(act, category, chosen_parts(category, listings), text.strip(), by)
        except (InputError, UnknownError) as error:
            status = 404 if isinstance(error, UnknownError) else 400
            return JSONResponse({"error": error_in(error, language_of(request))}, status)
        numbers = library.corrections.add(stated)
        return JSONResponse(
            {"numbers": numbers, "pending": len(library.pending(library.category(slug)))}
        )

    return router


def stated_by(
    act: Act, category: Category, parts: Sequence[actions.Part], text: str, by: Signature
) -> list[Correction]:
    """Return what a person states of the chosen; `text`: the cluster to move to, or a name.

    Raises InputError and UnknownError for what makes no sense.
    """
    match act:
        case "same":
            return actions.one_product([one for part in parts for one in part.chosen], by)
        case "move":
            return actions.move_to(category.cluster_named(text), parts, by)
        case "name":
            return actions.name(_only_cluster(category, parts), text, by)
        case _:
            return actions.take_out(parts, by, together=act == "together")


def _only_cluster(category: Category, parts: Sequence[actions.Part]) -> Cluster:
    number = parts[0].chosen[0].cluster_id
    if len(parts) > 1 or number is None or number < 0:
        raise InputError("Choose pictures of one cluster to name it.")
    return category.cluster(number)


def chosen_parts(category: Category, text: str) -> list[actions.Part]:
    """Return what was chosen, by cluster, with the listings that share a picture; `text`: numbers
    of listings, separated by commas.

    Raises InputError where none, or too many, are named, or one is not on the map.
    """
    given = [part for part in text.split(",") if part]
    is_number = all(part.isdecimal() and len(part) < LONGEST_NUMBER for part in given)
    if not given or len(given) > MOST_CHOSEN or not is_number:
        raise InputError(f"Choose pictures on the map first, at most {MOST_CHOSEN:,} at once.")
    shown = {one.first.listing: one for one in category.queue.pictures}
    places: dict[tuple[int, str], list[Picture]] = defaultdict(list)
    for number in dict.fromkeys(map(int, given)):
        if number not in shown:
            raise InputError(
                "The clusters changed since the map was opened, and nothing was recorded. Reload "
                "the page."
            )
        places[shown[number].place].append(shown[number])
    return [_part(category, pictures) for pictures in places.values()]


def _part(category: Category, pictures: Sequence[Picture]) -> actions.Part:
    chosen = [listing for picture in pictures for listing in picture.listings]
    numbers = {listing.listing for listing in chosen}
    cluster = category.by_number.get(pictures[0].cluster)
    staying = [] if cluster is None else cluster.listings
    return actions.Part(chosen, [one for one in staying if one.listing not in numbers])


def map_content(
    category: Category, placed: Placed, offers: Mapping[int, Offer], answers: Answers
) -> dict[str, Any]:
    """Return what the script of the page draws: a list per column of the points, clusters by
    number, and the ties within and between clusters as (probability, point, point).
    """
    rows = placed.pictures.tolist()
    pictures = [category.queue.pictures[row] for row in rows]
    point = {row: position for position, row in enumerate(rows)}
    firsts = [one.first for one in pictures]
    offers_shown = [offers.get(one.listing) for one in firsts]
    currency, shops = _commonest_currency(offers_shown), _shops(offers_shown)
    shown = {one.cluster for one in pictures if one.cluster >= 0}
    return {
        "width": round(placed.width, 3),
        "height": round(placed.height, 3),
        "left_out": len(category.queue.pictures) - len(rows),
        "x": placed.places[:, 0].round(3).tolist(),
        "y": placed.places[:, 1].round(3).tolist(),
        "listing": [one.listing for one in firsts],
        "title": [(one.title or one.product_base_id)[:LONGEST_TITLE] for one in firsts],
        "copies": [len(one.listings) for one in pictures],
        "cluster": [one.cluster for one in pictures],
        "confidence": [_confidence(category, one) for one in pictures],
        "shops": list(shops),
        "shop": [shops.get(one.seller or "", -1) if one else -1 for one in offers_shown],
        "currency": currency,
        "price": [one.price if one and one.currency == currency else None for one in offers_shown],
        "clusters": {
            number: [category.by_number[number].name, category.by_number[number].size]
            for number in sorted(shown)
        },
        "within": _ends(ties_within(category.queue, answers), point),
        "between": _ends(ties_between(category.queue, answers), point),
    }


def _ends(ties: Sequence[Tie], point: Mapping[int, int]) -> list[list[float | None]]:
    return [
        [
            None if tie.probability is None else round(tie.probability, 4),
            point[tie.first],
            point[tie.second],
        ]
        for tie in ties
        if tie.first in point and tie.second in point
    ]


def _confidence(category: Category, picture: Picture) -> float | None:
    """Return how sure the place of a picture in its cluster is, None without a cluster."""
    if picture.cluster < 0:
        return None
    if any(one.listing in category.confirmed for one in picture.listings):
        return 1.0
    confidence = picture.first.confidence
    return None if confidence is None else round(confidence, 3)


def _shops(offers: Sequence[Offer | None]) -> dict[str, int]:
    """Return a number for each seller, the one with most pictures first."""
    counts = Counter(one.seller for one in offers if one is not None and one.seller)
    return {name: place for place, (name, _) in enumerate(counts.most_common())}


def _commonest_currency(offers: Sequence[Offer | None]) -> str | None:
    priced = (one.currency for one in offers if one is not None and one.price is not None)
    counts = Counter(currency for currency in priced if currency)
    return counts.most_common(1)[0][0] if counts else None
