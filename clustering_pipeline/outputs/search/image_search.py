"""Searching with a picture or words: find the product, describe it, look it up, verify what was
found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.core.hardware import resolve_device
from clustering_pipeline.imaging import Box, Pixels, cut, without_background
from clustering_pipeline.models import TextTower, locate_model
from clustering_pipeline.outputs.search.index import Hit, Mode, SearchIndex, Vectors
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.detection import Selected, make_detector, make_segmenter, select
from clustering_pipeline.stages.embedding import ClipEncoder, Encoder, open_encoder
from clustering_pipeline.stages.features import (
    LocalFeatures,
    extract,
    load_features,
    unit_descriptors,
)
from clustering_pipeline.stages.matching import PairComparison, compare_pair


class WordSearch:
    """Looks words up among the vectors of pictures."""

    def __init__(self, index: SearchIndex, context: StageContext) -> None:
        """Loads the text tower; raises InputError when the encoder has none, StageError when it
        does not load.
        """
        settings = index.settings.embeddings
        if not has_text_tower(settings):
            raise InputError(
                f"The encoder {settings.encoder!r} understands pictures only. Search with a "
                "picture, or set embeddings.encoder to clip with a CLIP model, and run the "
                "category again."
            )
        place = locate_model(
            settings.model or ClipEncoder.default_model, context.hardware, "embeddings.model"
        )
        self._index = index
        self._tower = TextTower(place, resolve_device(context.hardware))

    def search(self, words: str, top: int = 10) -> list[Hit]:
        """Return the `top` listings whose pictures are nearest to the words."""
        return self._index.query(self._tower.encode([words])[0], top)


def has_text_tower(settings: EmbeddingSettings) -> bool:
    """Whether vectors of these settings lie in a space that words can be placed in as well."""
    return settings.encoder == "clip" and settings.reduce == "none"


# From here on a pair is more likely one product than two.
VERIFIED_PROBABILITY = 0.5
COMPARED = 30


@dataclass(frozen=True)
class QueryPicture:
    """A picture that is searched with: its regions, which of them is looked for, and what describes
    it.
    """

    width: int
    height: int
    regions: tuple[Selected, ...]
    chosen: int
    vector: Vectors
    features: LocalFeatures

    @property
    def label(self) -> str | None:
        """The class of the chosen region."""
        return self.regions[self.chosen].label


@dataclass(frozen=True)
class VerifiedHit:
    """A listing that was found, and how its crop and the query's are judged as a pair."""

    hit: Hit
    judgement: PairComparison

    @property
    def verified(self) -> bool:
        """Whether the two show the same product, by the judgement that the grouping makes of a
        pair.
        """
        return self.judgement.probability >= VERIFIED_PROBABILITY

    @property
    def matched_points(self) -> int:
        """How many points of print the two have in common."""
        return self.judgement.matched_points

    @property
    def rank(self) -> tuple[int, float, int]:
        """The place among other hits: most common print first where the grouping accepts the pair,
        then the nearest.
        """
        return (
            -self.matched_points if self.judgement.weight > 0 else 0,
            -self.hit.score,
            self.hit.listing,
        )


class PictureSearch:
    """Treats a query picture exactly as the catalogue's pictures were treated, and looks it up."""

    def __init__(self, index: SearchIndex, context: StageContext) -> None:
        """Loads the detector and the encoder of the index; raises StageError when a model cannot be
        loaded.
        """
        self.index = index
        self._blobs = context.blobs
        self._settings = index.settings
        self._detector = make_detector(self._settings.crops)
        self._encoder: Encoder = open_encoder(self._settings.embeddings)
        self._segmenter = make_segmenter(self._settings.crops)
        self._detector.load(context)
        if self._segmenter:
            self._segmenter.load(context)
        self._encoder.load(context)
        self._prepare = self._encoder.preparation(context)

    def describe(self, pixels: Pixels, region: int = 0, box: Box | None = None) -> QueryPicture:
        """Return the regions of a picture, uint8 (height, width, 3) RGB, and the description of one
        of them.

        `region`: number of the region, the main one by default; `box`: a region drawn by hand
        instead, in pixels. Raises InputError for a region that does not exist or a box without
        area.
        """
        height, width = pixels.shape[:2]
        regions = self._regions(pixels)
        if box is not None:
            regions = (_drawn(box, width, height, regions[0].label), *regions)
        if not 0 <= region < len(regions):
            raise InputError(
                f"The picture has {len(regions)} regions, counted from 0; there is no region "
                f"{region}."
            )
        crop = self._cut_out(pixels, regions[region].box)
        features, colour = extract(crop, self._settings.local_features)
        views = (pixels, crop) if len(regions) == 1 and self._segmenter is None else (crop, crop)
        read = {"local_features": (features, colour), "views": views, "pixels": crop}
        prepared = self._prepare([read[self._encoder.reads]])
        vector = self.index.placed(np.asarray(self._encoder.encode(prepared)[0], np.float32))
        return QueryPicture(width, height, regions, region, vector, features)

    def search(
        self, picture: QueryPicture, top: int = 10, mode: Mode = "exact"
    ) -> list[VerifiedHit]:
        """Return `top` listings that show the picture's product: those whose print agrees first,
        then by cosine.

        The print of at least the 30 nearest is compared, so that a verified one is not missed for a
        few nearer vectors.
        """
        hits = self.index.query(picture.vector, max(top, COMPARED), mode, picture.label)
        return sorted(self.verify(picture, hits), key=lambda one: one.rank)[:top]

    def verify(self, picture: QueryPicture, hits: Sequence[Hit]) -> list[VerifiedHit]:
        """Return hits with their judgement; one whose local features are not held is judged to be
        nothing.
        """
        own = unit_descriptors(picture.features.descriptors)
        return [VerifiedHit(hit, self._judged(picture.features, own, hit)) for hit in hits]

    def _judged(
        self, features: LocalFeatures, own: NDArray[np.float32], hit: Hit
    ) -> PairComparison:
        other = self._features(hit)
        if other is None:
            return PairComparison(0.0, 0.0, 0)
        return compare_pair(
            features, other, self._settings.matches, (own, unit_descriptors(other.descriptors))
        )

    def _features(self, hit: Hit) -> LocalFeatures | None:
        try:
            return load_features(self._blobs, hit.features) if hit.features else None
        except StageError:
            return None

    def _cut_out(self, pixels: Pixels, box: Box) -> Pixels:
        """Return the region without its background where the catalogue's crops have none."""
        region = cut(pixels, box)
        (mask,) = self._segmenter.masks(pixels, [box]) if self._segmenter else (None,)
        return region if mask is None else without_background(region, mask)

    def _regions(self, pixels: Pixels) -> tuple[Selected, ...]:
        height, width = pixels.shape[:2]
        detections = self._detector.detect([pixels], self._settings.prompts)[0]
        minimum = self._settings.crops.minimum_score
        minimum = self._detector.default_score if minimum is None else minimum
        return tuple(select(detections, width, height, minimum, self._settings.crops))


def _drawn(box: Box, width: int, height: int, label: str | None) -> Selected:
    x0, y0, x1, y1 = max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3])
    if x1 - x0 < 8 or y1 - y0 < 8:
        raise InputError(
            f"The box {box} has no area within the picture of {width} × {height} pixels; draw a "
            f"larger one."
        )
    return Selected((x0, y0, x1, y1), None, label, None, (x0, y0, x1, y1) == (0, 0, width, height))
