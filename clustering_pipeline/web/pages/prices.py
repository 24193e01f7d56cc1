"""The page of a category's prices, and the same as files."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from clustering_pipeline.outputs.prices import (
    ProductPrices,
    money,
    price_rows,
    prices_csv,
    prices_xlsx,
    sparkline,
)
from clustering_pipeline.web.category_cache import Category, Library
from clustering_pipeline.web.rendering import PageNumber, Pages, page_of

PAGE_SIZE = 50
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _or_last(value: float | None) -> float:
    return math.inf if value is None else value


# What products are sorted by, the first without being asked.
ORDERS: Mapping[str, Callable[[ProductPrices], Any]] = {
    "listings": lambda one: -len(one.offers),
    "lowest": lambda one: _or_last(one.lowest),
    "spread": lambda one: _or_last(None if one.spread is None else -one.spread),
    "change": lambda one: _or_last(None if one.change is None else -abs(one.change)),
    "far": lambda one: -len(one.far),
}


def price_router(library: Library, pages: Pages) -> APIRouter:
    """Return the routes of prices."""
    router = APIRouter(include_in_schema=False)

    @router.get("/c/{slug}/prices")
    def prices(
        request: Request,
        slug: str,
        sort: str = "listings",
        page: PageNumber = 1,
    ) -> HTMLResponse:
        category = library.category(slug)
        order = sort if sort in ORDERS else "listings"
        products = sorted(_products(category), key=ORDERS[order])
        return pages.render(
            request,
            "prices.html",
            category=category,
            total=len(products),
            moved=any(len(one.trend) > 1 for one in products),
            orders=list(ORDERS),
            sort=order,
            **page_of(products, page, PAGE_SIZE),
            money=money,
            sparkline=sparkline,
        )

    @router.get("/c/{slug}/prices.csv")
    def as_csv(slug: str) -> Response:
        return _file(prices_csv(_rows(library.category(slug))), f"{slug}-prices.csv", "text/csv")

    @router.get("/c/{slug}/prices.xlsx")
    def as_xlsx(slug: str) -> Response:
        return _file(prices_xlsx(_rows(library.category(slug))), f"{slug}-prices.xlsx", XLSX)

    return router


def _products(category: Category) -> list[ProductPrices]:
    return [one for one in category.prices.values() if one.lowest is not None]


def _rows(category: Category) -> list[dict[str, Any]]:
    names = {number: cluster.name for number, cluster in category.by_number.items()}
    return price_rows(sorted(_products(category), key=ORDERS["listings"]), names)


def _file(content: bytes, name: str, kind: str) -> Response:
    disposition = f'attachment; filename="{name}"'
    return Response(content, media_type=kind, headers={"content-disposition": disposition})
