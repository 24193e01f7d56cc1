"""The features of the evidence models: one array per feature, an entry per pair, NaN where a pair
has nothing of it to compare.

How alike two crops are in anything says little by itself: one category's siblings are more alike
than another's photographs of one product. So each likeness comes with how it stands against the
other candidates of both crops. None of them depends on how many crops the category has, nor on how
an encoder scales its cosines.

A pair is judged by itself first. Then a second model counts whether both belong to the same third
ones: two siblings of a line look alike, but each looks more like its own pictures, and what agrees
with the one contradicts the other (stacking, Wolpert 1992, over relations that should be
transitive).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from clustering_pipeline.core.evidence_model import probability_of
from clustering_pipeline.core.graph import symmetric_matrix
from clustering_pipeline.core.text import ProductAttributes, Values
from clustering_pipeline.stages.matching.verification import Floats

Reals = NDArray[np.float64]
Pairs = NDArray[np.int64]
Features = dict[str, Reals]

# Candidates whose mean likeness is a crop's neighbourhood, and crops against which a cosine is
# measured.
NEAREST, REFERENCES = 10, 1024
_LEAST_SPREAD = 1e-4
# Ranks from here on say no more.
_LAST_RANK = 64
_LARGEST_PRINT = 12.0
# How the names of features begin that say nothing by themselves.
CONTEXT = "context_"
# Print that agrees enough for two crops to be laid over each other, and how many such partners of a
# crop are looked at.
_VERIFIED, _PARTNERS = 0.6, 10
# Colours of the aligned comparison that disagree.
_OTHER_COLOURS = 0.8


def standing(name: str, pairs: Pairs, alike: Reals, count: int, spread: float = 1.0) -> Features:
    """Return how a likeness (float64, m; NaN where unknown) stands among the candidates of both
    crops.

    `_rank` and `_rank_far`: logarithm of which candidate each is of the other, the better and the
    worse. `_above`: how far it exceeds the mean of the ten nearest of both, in units of `spread`.
    `_gap`: how far it stays below the nearest of either.
    """
    compared = np.isfinite(alike)
    value = np.where(compared, alike, -np.inf)
    ranks = _ranks(pairs, value)
    near, best = _nearest(pairs, value, count)
    left, right = pairs.T
    features = {
        f"{name}_rank": np.log2(1.0 + ranks.min(axis=1)),
        f"{name}_rank_far": np.log2(1.0 + ranks.max(axis=1)),
        f"{name}_above": (value - (near[left] + near[right]) / 2) / spread,
        f"{name}_gap": (value - np.maximum(best[left], best[right])) / spread,
    }
    return {key: np.where(compared, values, np.nan) for key, values in features.items()}


def shares_of_best(name: str, pairs: Pairs, alike: Reals, count: int, least: float) -> Features:
    """Return what share a likeness is of the greatest of either crop, the smaller of both greatest
    first; at least `least` counts.
    """
    value = np.nan_to_num(alike)
    best = np.zeros(count)
    np.maximum.at(best, pairs.ravel(), np.repeat(value, 2))
    ends = best[pairs]
    features = {
        f"{name}_share": value / np.maximum(ends.min(axis=1), least),
        f"{name}_share_far": value / np.maximum(ends.max(axis=1), least),
    }
    return {key: np.where(np.isfinite(alike), values, np.nan) for key, values in features.items()}


def encoder_features(name: str, pairs: Pairs, vectors: Floats, cosines: Reals) -> Features:
    """Return how pairs stand by an encoder: `standing`, and `_out`: spreads above the cosines of
    either to any other crop.
    """
    count = len(vectors)
    chosen = (
        np.linspace(0, count - 1, min(count, REFERENCES)).round().astype(np.int64)
        if count
        else np.zeros(0, np.int64)
    )
    if count < 2 or len(pairs) == 0:
        return {}
    median, upper = np.quantile(vectors @ vectors[chosen].T, [0.5, 0.84], axis=1)
    spread = np.maximum(upper - median, _LEAST_SPREAD)
    scores = (cosines[:, None] - median[pairs]) / spread[pairs]
    features = standing(name, pairs, cosines, count, float(np.median(spread)))
    return {**features, f"{name}_out": scores.min(axis=1).astype(np.float64)}


def print_features(
    pairs: Pairs, weight: Reals, overlap: Reals, bare: NDArray[np.bool_], count: int
) -> Features:
    """Return the features of print: `weight` float64 (m,), 0 where it does not agree; nothing where
    neither crop has any.
    """
    capped = np.where(bare, np.nan, np.minimum(weight, _LARGEST_PRINT))
    return {
        "print": np.log1p(capped),
        **shares_of_best("print", pairs, capped, count, 1e-6),
        "overlap": np.where(weight > 0, overlap, np.nan),
    }


def text_features(name: str, pairs: Pairs, texts: Sequence[str], similarity: Reals) -> Features:
    """Return the features of `texts` by their n-gram cosines (float64, m, NaN where either is
    unread).
    """
    compared = np.isfinite(similarity)
    if not compared.any():
        return {}
    words, contained = _word_overlaps(pairs, texts)
    return {
        name: similarity,
        **standing(name, pairs, similarity, len(texts)),
        **shares_of_best(name, pairs, similarity, len(texts), 0.05),
        f"{name}_words": np.where(compared, words, np.nan),
        f"{name}_contained": np.where(compared, contained, np.nan),
    }


def attribute_features(pairs: Pairs, stated: Sequence[ProductAttributes]) -> Features:
    """Return how far what is stated of both crops is the same, of kind, form and traits each; NaN
    where nothing is stated of either.

    `_overlap`: the share of what is stated of the one of which less is, `_jaccard`: of what is
    stated of either. A picture that says much about a pack states all that the bare pack states.
    """
    return {
        **_set_overlaps("kind", pairs, [one.kinds for one in stated]),
        **_set_overlaps("form", pairs, [one.forms for one in stated]),
        **_set_overlaps("traits", pairs, [one.traits for one in stated]),
    }


def _set_overlaps(name: str, pairs: Pairs, sets: Sequence[Values]) -> Features:
    overlap, jaccard = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    is_stated = np.array([bool(values) for values in sets], bool)
    for number in np.flatnonzero(is_stated[pairs].all(axis=1)).tolist():
        first, second = (sets[row] for row in pairs[number])
        common = len(first & second)
        overlap[number] = common / min(len(first), len(second))
        jaccard[number] = common / len(first | second)
    return {f"{name}_overlap": overlap, f"{name}_jaccard": jaccard}


def context_features(pairs: Pairs, keypoints: Reals, lines: Reals, areas: Reals) -> Features:
    """Return what kind of pictures a pair is of, the lesser and the greater of both: by itself it
    says nothing of one product, but how much everything else says depends on it.

    Pack shots on white and sellers' banners differ in how much print they show, how much of it can
    be read and how much of the picture the product fills.

    Args:
        pairs: int64 (m, 2), rows of the crops.
        keypoints: float64 (n,), how many keypoints each crop has.
        lines: float64 (n,), how many lines were read on it, NaN where none was looked for.
        areas: float64 (n,), the share of its picture that the product fills.
    """
    values = {"keypoints": np.log1p(keypoints), "lines": np.log1p(lines), "area": areas}
    return {
        f"{CONTEXT}{name}_{which}": extreme(value[pairs], axis=1)
        for name, value in values.items()
        for which, extreme in (("least", np.min), ("most", np.max))
    }


def line_features(
    agreeing: NDArray[np.int64], conflicting: NDArray[np.int64], compared: NDArray[np.bool_]
) -> Features:
    """Return what lines at the same place of the print say, where print agrees and both packs were
    read.
    """
    said = agreeing + conflicting
    features = {
        "lines_agreeing": np.log2(1.0 + agreeing),
        "lines_conflicting": np.minimum(conflicting, 4).astype(np.float64),
        "lines_against": (conflicting + 0.5) / (said + 1.0),
    }
    return {key: np.where(compared, values, np.nan) for key, values in features.items()}


def shop_features(
    pairs: Pairs, shops: NDArray[np.int64], other_sizes: NDArray[np.bool_]
) -> Features:
    """Return whether both crops stand under the template of one shop, which hardly ever lists a
    product twice; nothing where neither stands under any, or where they state other sizes.

    `shops`: int64 (n,), the shop of each crop, -1 where nothing tells. `other_sizes`: bool (m,).
    """
    if len(shops) == 0:
        return {}
    left, right = shops[pairs].T
    same = (left == right).astype(np.float64)
    unknown = (np.maximum(left, right) < 0) | other_sizes
    return {"shop_same": np.where(unknown, np.nan, same)}


def crowd(pairs: Pairs, weight: Reals, disagreeing: NDArray[np.bool_], count: int) -> Reals:
    """Return how much of what looks like the one or the other is another product: float64 (m,), 0
    to 1.

    Of the ten partners whose print agrees best with a crop, the pair itself aside, the share that
    disagrees in a line, a number or its colours; the greater of both crops. One shop's frame and
    the line of one brand make such crowds.
    """
    rows, order = by_end(pairs, weight)
    position = _positions(rows)
    looked_at = (position < _PARTNERS) & (weight[order] > _VERIFIED)
    against = looked_at & disagreeing[order]
    against_counts = np.bincount(rows[against], minlength=count)
    own = np.zeros((len(pairs), 2))
    side = (pairs[order, 1] == rows).astype(np.int64)
    own[order, side] = against
    return np.asarray((against_counts[pairs] - own).max(axis=1, initial=0) / _PARTNERS)


def disagreements(features: Mapping[str, Reals]) -> NDArray[np.bool_]:
    """Return which pairs disagree in a line, a number, or in their colours once they are laid over
    each other.
    """
    lines = np.nan_to_num(features["lines_conflicting"]) > 0
    colours = (
        np.nan_to_num(features.get("aligned_chroma_cosine", np.ones(len(lines))), nan=1.0)
        < _OTHER_COLOURS
    )
    return np.asarray(lines | (np.nan_to_num(features["numbers_differ"]) > 0) | colours)


def by_end(pairs: Pairs, value: Reals) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return every end of every pair by crop, the greatest value first: the crops and the numbers
    of the pairs (int64, 2 m).
    """
    ends = np.concatenate([pairs[:, 0], pairs[:, 1]])
    number = np.tile(np.arange(len(pairs)), 2)
    order = np.lexsort((number, -value[number], ends))
    return ends[order], number[order]


def _positions(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the position of each entry among those of its row; `rows` are sorted."""
    first = (
        np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
        if len(rows)
        else np.zeros(0, np.int64)
    )
    lengths = np.diff(np.append(first, len(rows)))
    return np.arange(len(rows)) - np.repeat(first, lengths)


def _ranks(pairs: Pairs, value: Reals) -> NDArray[np.int64]:
    """Return which candidate each is of the other, from 0: int64 (m, 2); equal values share the
    better rank.
    """
    rows, order = by_end(pairs, value)
    position = _positions(rows)
    fresh = np.ones(len(rows), bool)
    fresh[1:] = (rows[1:] != rows[:-1]) | (value[order][1:] != value[order][:-1])
    shared = np.maximum.accumulate(np.where(fresh, np.arange(len(rows)), 0))
    ranks = np.zeros((len(pairs), 2), np.int64)
    ranks[order, (pairs[order, 1] == rows).astype(np.int64)] = np.minimum(
        position[shared], _LAST_RANK
    )
    return ranks


def _nearest(pairs: Pairs, value: Reals, count: int) -> tuple[Reals, Reals]:
    """Return the mean of the ten greatest values of each crop's candidates, and the greatest:
    float64 (count,).
    """
    rows, order = by_end(pairs, value)
    position = _positions(rows)
    is_finite = np.isfinite(value[order])
    near = is_finite & (position < NEAREST)
    total = np.bincount(rows[near], value[order][near], minlength=count)
    mean = total / np.maximum(np.bincount(rows[near], minlength=count), 1)
    best = np.zeros(count)
    first = is_finite & (position == 0)
    best[rows[first]] = value[order][first]
    return mean, best


def _word_overlaps(pairs: Pairs, texts: Sequence[str]) -> tuple[Reals, Reals]:
    """Return the cosine of words, and which share of what the shorter text says (rare words count
    more) the other says too.
    """
    # Its import takes longer than many a command that reads no text.
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        weights = TfidfVectorizer(token_pattern=r"[a-z0-9]{3,}", sublinear_tf=True).fit_transform(
            texts
        )
    except ValueError:
        return np.zeros(len(pairs)), np.zeros(len(pairs))
    left, right = pairs.T
    present = (weights > 0).astype(np.float64)
    rarity = np.log(len(texts) / np.maximum(np.asarray(present.sum(axis=0)).ravel(), 1))
    said = present.multiply(rarity[None]).tocsr()
    mass = np.asarray(said.sum(axis=1)).ravel()
    common = _row_products(said, present, left, right)
    return _row_products(weights, weights, left, right), common / np.maximum(
        np.minimum(mass[left], mass[right]), 3.0
    )


def _row_products(
    first: sparse.csr_matrix, second: sparse.csr_matrix, left: Pairs, right: Pairs
) -> Reals:
    return np.asarray(first[left].multiply(second[right]).sum(axis=1), np.float64).ravel()


# Log-odds beyond this say no more, and a pair that nobody looked at has so little.
SUREST = 8.0
# Expected partners below which there is nothing to compare.
_FEWEST, _FEWEST_IN_COMMON = 0.3, 0.05
_PAIR_BLOCK = 65_536


def partner_features(pairs: Pairs, log_odds: Reals, count: int) -> Features:
    """Return the features of m pairs of `count` crops, at least one, given the log-odds of each by
    itself (float64, m); NaN where there is nothing to compare.

    `by_itself`: these log-odds. `partners_common`: how many partners the two are expected to have
    in common, `partners_jaccard` as a share of all that they are expected to have.
    `partners_differ`: of the expected partners of the one that were compared with the other, the
    share that is expected to be no partner of it. `path`: the strongest way from the one to the
    other over a third, as strong as its weaker pair; `path_broken`: the strongest partner of the
    one that is none of the other, in the same way. `lead` and `lead_far`: how far the pair exceeds
    the best other pair of either crop, the smaller and the greater lead.
    """
    clipped = np.clip(log_odds, -SUREST, SUREST)
    likely = probability_of(clipped)
    yes, no = symmetric_matrix(pairs, likely, count), symmetric_matrix(pairs, 1 - likely, count)
    blocks = [
        _beside_thirds(yes, no, pairs[start : start + _PAIR_BLOCK])
        for start in range(0, max(len(pairs), 1), _PAIR_BLOCK)
    ]
    common, differing, path, broken = (np.concatenate(part) for part in zip(*blocks, strict=True))
    expected = np.asarray(yes.sum(axis=1)).ravel()
    either = expected[pairs].sum(axis=1) - 2 * likely - common
    compared = 2 * common + differing
    best = _best_other(pairs, clipped, count)
    return {
        "by_itself": clipped,
        "partners_common": common,
        "partners_jaccard": common / np.maximum(either, _FEWEST),
        "partners_differ": np.where(
            compared > _FEWEST_IN_COMMON,
            differing / np.maximum(compared, _FEWEST_IN_COMMON),
            np.nan,
        ),
        "path": _log_odds_of(path),
        "path_broken": _log_odds_of(broken),
        "lead": clipped - best.max(axis=1, initial=-SUREST),
        "lead_far": clipped - best.min(axis=1, initial=SUREST),
    }


def _beside_thirds(
    yes: sparse.csr_matrix, no: sparse.csr_matrix, pairs: Pairs
) -> tuple[Reals, Reals, Reals, Reals]:
    """Return per pair, over all thirds that were compared with both: the expected number of common
    partners, and of partners of one alone; the likeliest third that is a partner of both (as likely
    as the less likely of the two), and that is one of one alone.
    """
    left, right = pairs.T
    first, second, not_first, not_second = yes[left], yes[right], no[left], no[right]
    common = _sums(first.multiply(second))
    differing = _sums(first.multiply(not_second)) + _sums(second.multiply(not_first))
    path = _largest(first.minimum(second))
    broken = np.maximum(_largest(first.minimum(not_second)), _largest(second.minimum(not_first)))
    return common, differing, path, broken


def _sums(products: sparse.csr_matrix) -> Reals:
    return np.asarray(products.sum(axis=1), np.float64).ravel()


def _largest(values: sparse.csr_matrix) -> Reals:
    return np.asarray(values.max(axis=1).todense(), np.float64).ravel()


def _log_odds_of(probability: Reals) -> Reals:
    bounded = np.clip(
        probability, probability_of(np.array(-SUREST)), probability_of(np.array(SUREST))
    )
    return np.asarray(np.log(bounded / (1 - bounded)), np.float64)


def _best_other(pairs: Pairs, value: Reals, count: int) -> NDArray[np.float64]:
    """Return the greatest value of any other pair of either end: float64 (m, 2)."""
    rows, order = by_end(pairs, value)
    is_first = np.ones(len(rows), bool)
    is_first[1:] = rows[1:] != rows[:-1]
    is_second = np.zeros(len(rows), bool)
    is_second[1:] = is_first[:-1] & ~is_first[1:]
    greatest, next_greatest = np.full(count, -SUREST), np.full(count, -SUREST)
    greatest[rows[is_first]] = value[order[is_first]]
    next_greatest[rows[is_second]] = value[order[is_second]]
    best = np.zeros((len(pairs), 2))
    side = (pairs[order, 1] == rows).astype(np.int64)
    best[order, side] = np.where(is_first, next_greatest[rows], greatest[rows])
    return best
