"""The stages from pictures to clusters, run one after the other in this process on files, without
catalogue and network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from clustering_pipeline.core.engine import LocalEngine
from clustering_pipeline.core.manifests import (
    CATALOGUE,
    CORRECTIONS,
    ENGLISH_PROMPTS,
    OVERRULED_PICTURES,
    RAW_IMAGES,
    conform,
    empty,
)
from clustering_pipeline.evaluation import score_clusters
from clustering_pipeline.settings import (
    CleanImageSettings,
    ClusterSettings,
    CropSettings,
    EmbeddingSettings,
    LocalFeatureSettings,
    MatchSettings,
    SemanticDuplicateSettings,
)
from clustering_pipeline.stages import clustering, detection, embedding, features, matching
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.deduplication import clean_stage, semantic_stage
from clustering_pipeline.stages.matching.kept_crops import collect_crops
from clustering_pipeline.stages.matching.stage import Matcher, open_matcher
from clustering_pipeline.storage import BlobStore, FeatureTables


@dataclass(frozen=True)
class Picture:
    """A listing's picture, the number or name of its product, and the listing's title if it has
    one.
    """

    path: Path
    group: str
    title: str | None = None


class PreparedSet:
    """A set of pictures with everything that does not depend on how it is matched and grouped."""

    def __init__(self, pictures: Sequence[Picture], scratch: Path) -> None:
        """Describe every picture; `scratch` keeps blobs and features."""
        self.truth = np.array([picture.group for picture in pictures])
        self._scratch = scratch
        self._context = self._new_context("prepared")
        self._raw, self._catalogue = (
            raw_images_of(pictures, self._context.blobs),
            catalogue_of(pictures),
        )
        self._crops = detection.run(
            raw_images=self._raw,
            english_prompts=empty(ENGLISH_PROMPTS),
            catalogue=empty(CATALOGUE),
            settings=CropSettings(),
            context=self._context,
        ).manifest
        self._clean = clean_stage.run(
            crops=self._crops,
            raw_images=self._raw,
            overruled_pictures=empty(OVERRULED_PICTURES),
            settings=CleanImageSettings(),
            context=self._context,
        ).manifest
        self._features = features.run(
            clean_images=self._clean, settings=LocalFeatureSettings(), context=self._context
        ).manifest
        self._embeddings = embedding.run(
            clean_images=self._clean,
            local_features=self._features,
            settings=EmbeddingSettings(),
            context=self._context,
        ).manifest
        found = semantic_stage.run(
            embeddings=self._embeddings,
            clean_images=self._clean,
            overruled_pictures=empty(OVERRULED_PICTURES),
            embedding_settings=EmbeddingSettings(),
            settings=SemanticDuplicateSettings(),
            filter_settings=CleanImageSettings(),
            context=self._context,
        )
        # What matching and clustering both read.
        self._pictures = {
            "raw_images": self._raw,
            "crops": self._crops,
            "clean_images": self._clean,
            "embeddings": self._embeddings,
            "semantic_duplicates": found.manifest,
        }
        self._runs = 0

    def match(self, settings: MatchSettings, *, titles: bool = True) -> pd.DataFrame:
        """Return the MATCHES of the set; raw evidence and text are kept between calls."""
        catalogue = (
            self._catalogue if titles else conform(self._catalogue.assign(title=None), CATALOGUE)
        )
        return matching.run(
            **self._pictures,
            local_features=self._features,
            catalogue=catalogue,
            settings=settings,
            context=self._context,
        ).manifest

    def matcher(self, settings: MatchSettings, *, titles: bool = True) -> Matcher:
        """Return the matcher of the set, which finds and examines pairs step by step."""
        catalogue = (
            self._catalogue if titles else conform(self._catalogue.assign(title=None), CATALOGUE)
        )
        products = collect_crops(
            **self._pictures,
            local_features=self._features,
            catalogue=catalogue,
            settings=settings,
        )
        return open_matcher(products, self._clean, self._features, settings, self._context)

    def listings_of(self, crops: Sequence[str]) -> np.ndarray:
        """Return the number of a listing that shows each crop: int64 (n,)."""
        picture = dict(zip(self._clean["crop_sha256"], self._clean["image_sha256"], strict=True))
        listing = dict(zip(self._raw["image_sha256"], self._raw["listing"], strict=True))
        return np.array([listing[picture[crop]] for crop in crops], np.int64)

    def group(
        self, matches: pd.DataFrame, settings: ClusterSettings, *, titles: bool = True
    ) -> np.ndarray:
        """Return a cluster per listing in the order of the pictures, a number of its own where
        nothing matches.
        """
        self._runs += 1
        catalogue = (
            self._catalogue if titles else conform(self._catalogue.assign(title=None), CATALOGUE)
        )
        context = self._new_context(f"run {self._runs}")
        result = clustering.run(
            **self._pictures,
            catalogue=catalogue,
            matches=matches,
            corrections=empty(CORRECTIONS),
            settings=settings,
            context=context,
        ).manifest
        clusters = (
            result.sort_values("listing")["cluster_id"]
            .astype("Int64")
            .fillna(-1)
            .to_numpy(np.int64)
        )
        return np.where(clusters >= 0, clusters, -1 - np.arange(len(clusters)))

    def scores(self, clusters: np.ndarray) -> dict[str, float]:
        """Return every score of `clusters` against the truth."""
        return score_clusters(self.truth.tolist(), clusters.tolist())

    def half(self, clusters: np.ndarray, remainder: int) -> dict[str, float]:
        """Return the scores of the odd (1) or even (0) products in the order of their names."""
        _, number = np.unique(self.truth, return_inverse=True)
        rows = number % 2 == remainder
        return score_clusters(self.truth[rows].tolist(), clusters[rows].tolist())

    def _new_context(self, name: str) -> StageContext:
        state = self._scratch / name
        state.mkdir(parents=True, exist_ok=True)
        features = FeatureTables(str(self._scratch / "features"))
        return StageContext(
            BlobStore(str(self._scratch / "blobs")), features, state, LocalEngine(2), category="set"
        )


def raw_images_of(pictures: Sequence[Picture], blobs: BlobStore) -> pd.DataFrame:
    """Store the pictures and return RAW_IMAGES, a listing each."""
    frame = pd.DataFrame(
        {
            "listing": range(len(pictures)),
            "position": 0,
            "url": [picture.path.name for picture in pictures],
            "image_sha256": [blobs.put(picture.path.read_bytes()) for picture in pictures],
            "status": "ok",
        }
    )
    return conform(
        frame.reindex(columns=RAW_IMAGES.schema.names)
        .astype(object)
        .where(lambda cells: cells.notna(), None),
        RAW_IMAGES,
    )


def catalogue_of(pictures: Sequence[Picture]) -> pd.DataFrame:
    """Return CATALOGUE of the pictures, a listing each."""
    rows = [
        {
            "listing": number,
            "sheet": "listings",
            "sheet_row": number + 2,
            "product_base_id": picture.path.name,
            "url_cell": picture.path.name,
            "urls": [picture.path.name],
            "title": picture.title,
            "usable": True,
            "reason": None,
            "extra": "{}",
        }
        for number, picture in enumerate(pictures)
    ]
    return conform(pd.DataFrame(rows, columns=CATALOGUE.schema.names), CATALOGUE)
