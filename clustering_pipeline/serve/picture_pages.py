"""Pictures of listings, as small JPEGs."""

from functools import lru_cache
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from clustering_pipeline.errors import PipelineError
from clustering_pipeline.imaging import ImageError
from clustering_pipeline.report import Box, thumbnail_jpeg
from clustering_pipeline.serve.library import Library, UnknownError

SIZES = {"small": 200, "large": 640}
KEPT = 4000


def picture_router(library: Library) -> APIRouter:
    """Return the route of listings' pictures."""
    router = APIRouter(include_in_schema=False)

    @lru_cache(maxsize=KEPT)
    def jpeg(image_sha256: str, box: Box | None, longest_side: int) -> bytes:
        return thumbnail_jpeg(library.blobs, image_sha256, box, longest_side)

    @router.get("/c/{slug}/pictures/{number}.jpg")
    def picture(
        slug: str, number: int, size: Annotated[Literal["small", "large"], Query()] = "small", whole: bool = False
    ) -> Response:
        listing = library.category(slug).listing(number)
        if listing.image_sha256 is None:
            raise UnknownError(f"Listing {number} has no picture.")
        try:
            content = jpeg(listing.image_sha256, None if whole else listing.box, SIZES[size])
        except (ImageError, PipelineError) as error:
            raise UnknownError(f"The picture of listing {number} cannot be shown: {error}") from error
        return Response(content, media_type="image/jpeg", headers={"cache-control": "private, max-age=300"})

    return router
