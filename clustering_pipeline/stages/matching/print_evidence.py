"""Raw evidence of pairs, computed once per pair of local features and kept; and two products judged
by themselves, outside any category: by their print, their silhouettes and how many packs they show.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clustering_pipeline.imaging import AlignedDifference, Frame, compare_aligned, read_frame
from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.features import LocalFeatures, load_features, unit_descriptors
from clustering_pipeline.stages.matching.shapes import (
    TurnedShape,
    plain_pairs,
    shape_agreement,
    turned_shape,
)
from clustering_pipeline.stages.matching.verification import (
    Floats,
    PrintEvidence,
    print_weight,
    verify,
)
from clustering_pipeline.stages.matching.weights import PairEvidence, pair_weights, probability_of
from clustering_pipeline.storage import BlobStore, compute_missing

# What is compared at the same place of verified pairs, as columns; NaN where nothing is.
ALIGNED = tuple(f"aligned_{name}" for name in AlignedDifference._fields if name != "outline")
_MAP = ("map_turn", "map_stretch", "map_scale")
_SCHEMA = pa.schema(
    [
        ("inliers", pa.int32()),
        ("cells", pa.float32()),
        ("agreement", pa.float32()),
        ("centre_agreement", pa.float32()),
        ("colour", pa.float32()),
        ("overlap_first", pa.float32()),
        ("overlap_second", pa.float32()),
        ("shape", pa.float32()),
        *((name, pa.float32()) for name in (*_MAP, *ALIGNED)),
        ("matrix", pa.list_(pa.float32())),
        ("first", pa.list_(pa.uint16())),
        ("second", pa.list_(pa.uint16())),
    ]
)
# What judging reads of it; the inliers themselves would fill the memory.
_JUDGED = [name for name in _SCHEMA.names if name not in ("first", "second")]
# Loaded features take about a third of a megabyte each.
_HELD_IN_MEMORY = 512
# Frames as they are laid over each other take about a megabyte each.
_FRAMES_IN_MEMORY = 96
# Pairs whose names are held in memory at once.
_SLICE = 400_000


def print_evidence(
    pairs: NDArray[np.int64],
    features: Sequence[str],
    settings: MatchSettings,
    context: StageContext,
) -> pd.DataFrame:
    """Return the evidence of each pair of rows, in order.

    `features` are the blobs of each row's local features; a pair's evidence is known by the two and
    by how it was verified. The inliers themselves are kept, but not returned.
    """
    slices = [pairs[start : start + _SLICE] for start in range(0, len(pairs), _SLICE)] or [pairs]
    frames = [_slice_evidence(some, features, settings, context) for some in slices]
    return pd.concat(frames, ignore_index=True)


def _slice_evidence(
    pairs: NDArray[np.int64],
    features: Sequence[str],
    settings: MatchSettings,
    context: StageContext,
) -> pd.DataFrame:
    sides = [(features[left], features[right]) for left, right in pairs.tolist()]
    keys = [pair_key(first, second) for first, second in sides]
    blobs = dict(zip(keys, sides, strict=True))
    table = context.tables.table(
        "pair_evidence", settings.verification.fingerprint(str(settings.plain_keypoints)), _SCHEMA
    )

    def compute(missing: list[str]) -> Iterator[pd.DataFrame]:
        if not missing:
            return
        work = partial(_verify_batch, blobs=context.blobs, settings=settings)
        items = [(key, *blobs[key]) for key in missing]
        for evidence in context.map_batches(
            work, items, "Matches", "pair", batch_size=settings.batch_size
        ):
            yield pd.DataFrame(evidence, columns=["key", *_SCHEMA.names])

    return compute_missing(table, keys, compute, _JUDGED).loc[keys].reset_index(drop=True)


def pair_key(first: str, second: str) -> str:
    """Return the key of the evidence between two local-feature blobs, in this order."""
    return hashlib.sha256(f"{first}:{second}".encode()).hexdigest()[:32]


def _verify_batch(
    batch: list[tuple[str, str, str]], blobs: BlobStore, settings: MatchSettings
) -> list[dict[str, object]]:
    # The products are small: more threads than one would only wait for each other.
    with threadpool_limits(1):
        return [
            _verify_one(key, _loaded(blobs, left), _loaded(blobs, right), settings)
            for key, left, right in batch
        ]


def _verify_one(
    key: str, first: "_Loaded", second: "_Loaded", settings: MatchSettings
) -> dict[str, object]:
    evidence = verify(
        first.features,
        second.features,
        settings.verification,
        (first.descriptors, second.descriptors),
    )
    keypoints = np.array([len(first.features), len(second.features)])
    plain = plain_pairs(keypoints, np.array([[0, 1]]), settings.plain_keypoints).all()
    shape = shape_agreement(first.shape, second.shape) if plain else float("nan")
    return {"key": key, **evidence_row(evidence, shape), **_laid_over(first, second, evidence)}


def _laid_over(first: "_Loaded", second: "_Loaded", evidence: PrintEvidence) -> dict[str, float]:
    """Return the columns of the affine map and of what differs at the same place, NaN where the
    print does not agree.
    """
    match, shares = evidence.match, evidence.share_matrix
    if match is None or shares is None or not first.features.picture or not second.features.picture:
        return dict.fromkeys((*_MAP, *ALIGNED), float("nan"))
    size = np.array([first.features.width, first.features.height], np.float32)
    support = first.features.points[match.first] / size
    differences = compare_aligned(
        first.frame(), second.frame(), shares, np.asarray(support, np.float32)
    )
    compared = [value for name, value in differences._asdict().items() if name != "outline"]
    # As precise as they are kept.
    values = np.array([*map_shape(match.matrix), *compared], np.float32).tolist()
    return dict(zip((*_MAP, *ALIGNED), values, strict=True))


def map_shape(matrix: Floats) -> tuple[float, float, float]:
    """Return by how much an affine map (2, 3) turns in radians, stretches one axis over the other,
    and scales (logarithm).
    """
    linear = matrix[:, :2].astype(np.float64)
    larger, smaller = np.linalg.svd(linear, compute_uv=False)
    turn = abs(float(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])))
    return (
        turn,
        float(larger / max(smaller, 1e-6)),
        abs(float(np.log(max(larger * smaller, 1e-9)) / 2)),
    )


def evidence_row(evidence: PrintEvidence, shape: float) -> dict[str, object]:
    """Return the evidence of print and silhouettes as the values of a cached row."""
    match = evidence.match
    return {
        "inliers": 0 if match is None else len(match),
        "cells": evidence.cells,
        "agreement": evidence.agreement,
        "centre_agreement": evidence.centre_agreement,
        "colour": evidence.colour,
        "overlap_first": evidence.overlap_first,
        "overlap_second": evidence.overlap_second,
        "shape": shape,
        "matrix": None if evidence.share_matrix is None else evidence.share_matrix.ravel(),
        "first": None if match is None else match.first.astype(np.uint16),
        "second": None if match is None else match.second.astype(np.uint16),
    }


@dataclass(frozen=True)
class _Loaded:
    """A crop's local features with what is worked out of them once."""

    root: str
    digest: str
    features: LocalFeatures
    descriptors: Floats

    @cached_property
    def shape(self) -> TurnedShape | None:
        return turned_shape(self.features)

    def frame(self) -> Frame:
        return _frame_once(self.root, self.digest)


def _loaded(blobs: BlobStore, digest: str) -> _Loaded:
    return _load_once(blobs.files.root, digest)


@lru_cache(maxsize=_HELD_IN_MEMORY)
def _load_once(root: str, digest: str) -> _Loaded:
    features = load_features(BlobStore(root), digest)
    return _Loaded(root, digest, features, unit_descriptors(features.descriptors))


@lru_cache(maxsize=_FRAMES_IN_MEMORY)
def _frame_once(root: str, digest: str) -> Frame:
    features = _load_once(root, digest).features
    x0, y0, x1, y1 = features.box
    return read_frame(features.picture, features.shown, max(x1 - x0, y1 - y0))


@dataclass(frozen=True)
class PairComparison:
    """What a pair of products weighs, how likely they are one product, and how many points of their
    print agree.
    """

    weight: float
    probability: float
    matched_points: int


def compare_pair(
    first: LocalFeatures,
    second: LocalFeatures,
    settings: MatchSettings,
    descriptors: tuple[Floats, Floats] | None = None,
) -> PairComparison:
    """Return the judgement that the grouping would make of a pair whose packs nobody read.

    What a category adds is left out: texts, titles, overlays and neighbours. `descriptors`: the
    unit descriptors of both, float32 (n, 128), where the caller has them.
    """
    evidence = verify(first, second, settings.verification, descriptors)
    weight = float(
        pair_weights(_evidence(first, second, evidence, settings), veto_numbers=False)[0]
    )
    probability = float(probability_of(np.array([weight]))[0]) if weight > 0 else 0.0
    return PairComparison(weight, probability, 0 if evidence.match is None else len(evidence.match))


def _evidence(
    first: LocalFeatures, second: LocalFeatures, evidence: PrintEvidence, settings: MatchSettings
) -> PairEvidence:
    measures = [
        np.array([value], np.float64)
        for value in (evidence.cells, evidence.agreement, evidence.centre_agreement)
    ]
    keypoints, both = np.array([len(first), len(second)]), np.array([[0, 1]])
    plain = plain_pairs(keypoints, both, settings.plain_keypoints).all()
    shape = shape_agreement(turned_shape(first), turned_shape(second)) if plain else float("nan")
    nothing = np.zeros(1)
    return PairEvidence(
        cosine=nothing,
        print_weight=print_weight(*measures) if evidence.match is not None else nothing,
        overlay=nothing,
        shape=np.array([shape]),
        bare=np.array([keypoints.max() <= settings.plain_keypoints]),
        has_text=np.array([False]),
        text_similarity=nothing,
        agreeing=np.zeros(1, np.int64),
        conflicting=np.zeros(1, np.int64),
        contradicted=np.array([False]),
        titles_contradict=np.array([False]),
        title_similarity=np.full(1, np.nan),
        copies_differ=np.array([(first.copies > 1) != (second.copies > 1)]),
        neighbours_differ=nothing,
    )
