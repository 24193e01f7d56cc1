"""Two listings beside each other, with what speaks for and against their showing one product."""

from dataclasses import dataclass

from clustering_pipeline.errors import PipelineError
from clustering_pipeline.features import load_features
from clustering_pipeline.report import Link, Listing, PairEvidence, pair_evidence
from clustering_pipeline.serve.library import Category
from clustering_pipeline.settings import VerificationSettings
from clustering_pipeline.storage import BlobStore


@dataclass(frozen=True)
class Pair:
    """Two listings, the match between their crops, and the points that agree."""

    first: Listing
    second: Listing
    link: Link
    evidence: PairEvidence


def pair_of(category: Category, blobs: BlobStore, link: Link) -> Pair:
    """Return the listings of a link and the matched points between their crops."""
    first, second = category.by_crop[link.crop_a], category.by_crop[link.crop_b]
    return Pair(first, second, link, _evidence(category, blobs, link))


def _evidence(category: Category, blobs: BlobStore, link: Link) -> PairEvidence:
    features = category.local_features
    sizes = category.crop_sizes
    try:
        return pair_evidence(
            load_features(blobs, features[link.crop_a]),
            load_features(blobs, features[link.crop_b]),
            sizes[link.crop_a],
            sizes[link.crop_b],
            VerificationSettings(),
        )
    except (KeyError, PipelineError):
        # Without stored features there are no points to draw; the numbers of the match still stand.
        return PairEvidence((), 0)
