"""The embedded encoder: aggregated local features and colour, with nothing to download."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.embedding.aggregation import Vocabulary, shipped_vocabulary, unit, vlad
from clustering_pipeline.features import LocalFeatures, unit_descriptors
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stage import StageContext

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LocalPreparation:
    """VLAD over the words, projected, beside the projected colour histogram; the shipped words when none are given.

    Keypoints count by their centrality, so that photographs of one product are neighbours rather than those of one shelf.
    """

    colour_share: float
    vocabulary: Vocabulary | None = None

    def __call__(self, inputs: Sequence[tuple[LocalFeatures, Floats]]) -> Floats:
        """Return a float32 row per pair of local features and colour histogram."""
        learnt = self.vocabulary or shipped_vocabulary()
        return np.array([self._vector(features, colour, learnt) for features, colour in inputs], np.float32)

    def _vector(self, features: LocalFeatures, colour: Floats, learnt: Vocabulary) -> Floats:
        aggregated = vlad(unit_descriptors(features.descriptors), learnt.words, features.centrality)
        # A product without any keypoint has no print to compare; its colour speaks alone.
        seen = float(len(features) > 0)
        print_part = unit(learnt.projection @ (aggregated - learnt.mean)) * seen
        colour_part = unit(learnt.colour_projection @ colour) * np.sqrt(self.colour_share)
        return unit(np.concatenate([print_part, colour_part]))


class LocalEncoder:
    """Print and colour in one vector.

    The cosine of two vectors is (cosine of print + `colour_share` · cosine of colour) / (1 + `colour_share`).
    """

    reads: ClassVar[Literal["pixels", "local_features"]] = "local_features"

    def __init__(self, settings: EmbeddingSettings, vocabulary: Vocabulary | None = None) -> None:
        """`vocabulary`: the shipped one by default."""
        self._vocabulary = vocabulary
        self._colour_share = settings.colour_share

    def identity(self, context: StageContext) -> str:
        return self._learnt.digest

    def facts(self, context: StageContext) -> Mapping[str, int | float | str]:
        return {"dimension": len(self._learnt.projection) + len(self._learnt.colour_projection)}

    def preparation(self, context: StageContext) -> LocalPreparation:
        return LocalPreparation(self._colour_share, self._vocabulary)

    def load(self, context: StageContext) -> None:
        """Nothing to load: the vocabulary is part of the package."""

    def encode(self, prepared: NDArray[Any]) -> Floats:
        return prepared

    @property
    def _learnt(self) -> Vocabulary:
        return self._vocabulary or shipped_vocabulary()
