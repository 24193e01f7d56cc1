import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core.manifests import (
    CATALOGUE,
    CLEAN_IMAGES,
    CORRECTIONS,
    CROPS,
    EMBEDDINGS,
    MATCHES,
    RAW_IMAGES,
    SEMANTIC_DUPLICATES,
    conform,
    empty,
)
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stages import clustering
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import BlobStore, FeatureTables


def sha(name):
    return hashlib.sha256(name.encode()).hexdigest()


def rows(manifest, records):
    if not records:
        return empty(manifest)
    frame = pd.DataFrame(records, dtype=object)
    return conform(
        frame.reindex(columns=manifest.schema.names)
        .astype(object)
        .where(lambda cells: cells.notna(), None),
        manifest,
    )


class World:
    """A small category: listings by id, each with pictures named by a word; a picture's crop has
    the name "crop of …".
    """

    def __init__(self):
        self.catalogue, self.raw_images, self.crops, self.clean_images = [], [], {}, {}
        self.semantic_duplicates, self.matches, self.corrections, self.vectors = [], [], [], {}

    def listing(self, identifier, *pictures, title=None, error=None, usable=True, reason=None):
        listing = len(self.catalogue)
        self.catalogue.append(
            {
                "listing": listing,
                "sheet": "s",
                "sheet_row": listing + 2,
                "product_base_id": identifier,
                "title": title,
            }
            | {
                "usable": usable,
                "reason": reason,
                "urls": [f"http://h/{picture}" for picture in pictures],
            }
        )
        for position, picture in enumerate(pictures):
            self.raw_images.append(
                {
                    "listing": listing,
                    "position": position,
                    "image_sha256": sha(picture),
                    "url": picture,
                    "status": "ok",
                }
            )
            self._crop(picture)
        if error:
            self.raw_images.append(
                {"listing": listing, "position": 0, "status": "failed", "error": error}
            )
        return self

    def _crop(self, picture):
        crop = sha(f"crop of {picture}")
        self.crops[picture] = {
            "image_sha256": sha(picture),
            "rank": 0,
            "crop_sha256": crop,
            "is_main": True,
        }
        kept = {
            "crop_sha256": crop,
            "image_sha256": sha(picture),
            "is_main": True,
            "status": "kept",
            "keeper": crop,
        }
        self.clean_images.setdefault(picture, kept)

    def reject(self, picture, reason):
        self.clean_images[picture] |= {"status": "rejected", "reason": reason, "keeper": None}
        return self

    def duplicate(self, picture, keeper):
        self.clean_images[picture] |= {"status": "duplicate", "keeper": sha(f"crop of {keeper}")}
        return self

    def semantic_duplicate(self, picture, keeper):
        crops = [sha(f"crop of {name}") for name in (picture, keeper)]
        self.semantic_duplicates.append(
            {"crop_sha256": crops[0], "keeper": crops[1], "similarity": 0.99}
        )
        return self

    def match(self, a, b, weight=3.0, probability=0.9):
        low, high = sorted((sha(f"crop of {a}"), sha(f"crop of {b}")))
        self.matches = [
            pair for pair in self.matches if (pair["crop_a"], pair["crop_b"]) != (low, high)
        ]
        self.matches.append(
            {"crop_a": low, "crop_b": high, "weight": weight, "probability": probability}
        )
        return self

    def correct(self, kind, a=None, b=None, **columns):
        statement = {
            "number": len(self.corrections) + 1,
            "kind": kind,
            "id_a": a,
            "id_b": b,
            "author": "Lan",
            "time": "t",
        }
        self.corrections.append(statement | columns)
        return self

    def embedding_of(self, picture):
        vector = (
            np.random.default_rng(int(sha(picture)[:8], 16)).normal(size=8)
            if picture not in self.vectors
            else self.vectors[picture]
        )
        return {"crop_sha256": sha(f"crop of {picture}"), "vector": np.asarray(vector, np.float32)}

    def shuffled(self, seed):
        """Return the same category with the rows of its workbook in another order."""
        order = np.random.default_rng(seed).permutation(len(self.catalogue)).tolist()
        place = {listing: index for index, listing in enumerate(order)}
        other = World()
        other.__dict__.update(self.__dict__)
        other.catalogue = [row | {"listing": place[row["listing"]]} for row in self.catalogue]
        other.raw_images = [row | {"listing": place[row["listing"]]} for row in self.raw_images]
        return other

    def group(self, context, category="toner", **settings):
        return clustering.run(
            catalogue=rows(CATALOGUE, self.catalogue),
            raw_images=rows(RAW_IMAGES, self.raw_images),
            crops=rows(CROPS, list(self.crops.values())),
            clean_images=rows(CLEAN_IMAGES, list(self.clean_images.values())),
            semantic_duplicates=rows(SEMANTIC_DUPLICATES, self.semantic_duplicates),
            embeddings=rows(
                EMBEDDINGS, [self.embedding_of(picture) for picture in self.clean_images]
            ),
            matches=rows(MATCHES, self.matches),
            corrections=rows(CORRECTIONS, self.corrections),
            settings=ClusterSettings(**settings),
            context=replace(context, category=category),
        )

    def clusters(self, context, **settings):
        """Return product_base_id -> cluster_id."""
        manifest = self.group(context, **settings).manifest
        identifiers = {row["listing"]: row["product_base_id"] for row in self.catalogue}
        return {identifiers[row.listing]: row.cluster_id for row in manifest.itertuples()}


@pytest.fixture
def world():
    return World()


@pytest.fixture
def context(tmp_path):
    return StageContext(
        BlobStore(str(tmp_path / "blobs")),
        FeatureTables(str(tmp_path / "features")),
        tmp_path / "state",
    )
