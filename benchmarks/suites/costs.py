"""What one picture costs in each stage, in time of a processor and in bytes: what the plan for large
catalogues (docs/scale.md) is reckoned from.

Pictures of real sellers where they are present, else drawn ones. One process, one thread each, and
the time of its processor, so that a busy machine changes little.
"""

import random
import time
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.drawn_pictures import draw_pictures
from benchmarks.figures import Figure, Options, SuiteUnavailableError
from benchmarks.stages import Picture, catalogue_of, raw_images_of
from clustering_pipeline.core.engine import LocalEngine
from clustering_pipeline.core.manifests import (
    CATALOGUE,
    ENGLISH_PROMPTS,
    OVERRULED_PICTURES,
    SEMANTIC_DUPLICATES,
    empty,
)
from clustering_pipeline.settings import (
    CleanImageSettings,
    CropSettings,
    EmbeddingSettings,
    LocalFeatureSettings,
    MatchSettings,
)
from clustering_pipeline.stages import detection, embedding, features, matching
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.deduplication import clean_stage
from clustering_pipeline.storage import BlobStore, FeatureTables

QUICK, USUAL, FULL = 24, 150, 666


def run(options: Options) -> list[Figure]:
    """Run the stages on a sample, one after the other."""
    count = QUICK if options.quick else FULL if options.full else USUAL
    pictures, source = _sample(options, count)
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        costs = _Costs(options.scratch, pictures)
        figures = costs.measure()
    return [
        Figure(name, value, unit, note=f"{number:,} of {source}")
        for name, value, unit, number in figures
    ]


def _sample(options: Options, count: int) -> tuple[list[Picture], str]:
    try:
        paths = sorted((options.dataset("sellers") / "images").iterdir())
    except SuiteUnavailableError:
        return draw_pictures(options.scratch / "drawn", count), "drawn pictures"
    chosen = random.Random(5).sample(paths, min(count, len(paths)))
    return [Picture(path, path.name) for path in sorted(chosen)], "real sellers' pictures"


class _Costs:
    def __init__(self, scratch: Path, pictures: list[Picture]) -> None:
        self.tables = scratch / "features"
        self.blobs = BlobStore(str(scratch / "blobs"))
        self.context = StageContext(
            self.blobs,
            FeatureTables(str(self.tables)),
            scratch / "state",
            LocalEngine(1),
            category="costs",
        )
        self.context.state.mkdir()
        self.catalogue = catalogue_of(pictures)
        self.raw = raw_images_of(pictures, self.blobs)

    def measure(self) -> list[tuple[str, float, str, int]]:
        """Return name, value, unit and how many items it was measured on."""
        found: list[tuple[str, float, str, int]] = []

        def stage(run: Any, **read: Any) -> tuple[pd.DataFrame, float]:
            used = time.process_time()
            manifest = run(**read, context=self.context).manifest
            return manifest, time.process_time() - used

        crops, used = stage(
            detection.run,
            raw_images=self.raw,
            english_prompts=empty(ENGLISH_PROMPTS),
            catalogue=empty(CATALOGUE),
            settings=CropSettings(),
        )
        found.append(("crops", used / len(self.raw) * 1e3, "ms", len(self.raw)))
        clean, used = stage(
            clean_stage.run,
            crops=crops,
            raw_images=self.raw,
            overruled_pictures=empty(OVERRULED_PICTURES),
            settings=CleanImageSettings(),
        )
        found.append(("hashes and quality", used / len(clean) * 1e3, "ms", len(clean)))
        local, used = stage(
            features.run,
            clean_images=clean,
            settings=LocalFeatureSettings(),
        )
        found.append(("local features", used / len(local) * 1e3, "ms", len(local)))
        vectors, used = stage(
            embedding.run,
            clean_images=clean,
            local_features=local,
            settings=EmbeddingSettings(),
        )
        found.append(("embeddings", used / len(vectors) * 1e3, "ms", len(vectors)))
        shown = {
            "catalogue": self.catalogue,
            "raw_images": self.raw,
            "crops": crops,
            "clean_images": clean,
            "semantic_duplicates": empty(SEMANTIC_DUPLICATES),
            "local_features": local,
            "embeddings": vectors,
        }
        _, used = stage(matching.run, **shown, settings=MatchSettings(text=False))
        pairs = self._rows("pair_evidence")
        found.append(("pairs", used / max(pairs, 1) * 1e3, "ms", pairs))
        _, reading = stage(matching.run, **shown, settings=MatchSettings())
        read = self._rows("pack_text")
        found.append(("text on a pack", reading / max(read, 1) * 1e3, "ms", read))
        return [*found, *self._bytes(local, vectors)]

    def _bytes(
        self, local: pd.DataFrame, vectors: pd.DataFrame
    ) -> list[tuple[str, float, str, int]]:
        pictures = [self.blobs.size(digest) or 0 for digest in self.raw["image_sha256"]]
        stored = [self.blobs.size(digest) or 0 for digest in local["features"]]
        cached = sum(path.stat().st_size for path in self.tables.rglob("*.parquet"))
        return [
            ("bytes of a picture", sum(pictures) / len(pictures), "B", len(pictures)),
            ("bytes of local features", sum(stored) / len(stored), "B", len(stored)),
            ("bytes of cached rows for a crop", cached / len(local), "B", len(local)),
            ("numbers of a vector", float(len(vectors["vector"].iloc[0])), "", len(vectors)),
        ]

    def _rows(self, stage: str) -> int:
        return sum(len(pd.read_parquet(path)) for path in (self.tables / stage).rglob("*.parquet"))
