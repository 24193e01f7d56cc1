"""From evidence to the one weight per pair that the clustering uses, to a probability that a person
can read, and to the kinds of evidence that decided.

Of a plain pair neither crop has print or text: what the encoder says of it is put on the scale of
the category's own pairs whose print was compared. Whoever has print gives examples: pairs whose
print agrees are of one product, the other candidates with print nearly all are not. How much
likelier a likeness is among the first than among the second is a rising function of it (isotonic
regression, Barlow et al. 1972). The share of true pairs among the plain ones, which nobody
labelled, comes out of their own likenesses (Saerens et al. 2002, the case of positive and
unlabelled examples of Elkan and Noto 2008).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.evidence_model import Reals, prior_shift
from clustering_pipeline.core.graph import symmetric_matrix

_FEWEST_COMMON = 6


def profile_disagreement(
    pairs: NDArray[np.int64],
    compared: NDArray[np.bool_],
    contradicting: NDArray[np.bool_],
    count: int,
) -> NDArray[np.float64]:
    """Return for each pair the share of common neighbours that contradict one of the two and not
    the other.

    Where OCR misses the one line that tells two variants apart, their neighbours still show it:
    what contradicts the one agrees with the other. Packs of one product contradict the same
    neighbours.

    Args:
        pairs: int64 (m, 2), rows of packs.
        compared: whether each pair's print and text could be compared.
        contradicting: whether each compared pair contradicts itself in words, numbers or copies.
        count: the number of packs.

    Returns:
        float64 (m,), 0 to 1; 0 where the two have fewer than six common neighbours.
    """
    if len(pairs) == 0:
        return np.zeros(0)
    against, agreed = (
        symmetric_matrix(some, np.ones(len(some)), count)
        for some in (pairs[compared & contradicting], pairs[compared & ~contradicting])
    )
    one_sided = (against @ agreed).tocsr()
    one_sided = one_sided + one_sided.T
    both = against + agreed
    common = (both @ both).tocsr()
    left, right = pairs.T
    shared = np.asarray(common[left, right], np.float64).ravel()
    differing = np.asarray(one_sided[left, right], np.float64).ravel()
    return np.where(shared >= _FEWEST_COMMON, differing / np.maximum(shared, 1), 0.0)


# Pairs that weigh less are refused; more than the largest says nothing more.
SMALLEST_WEIGHT = 0.6
LARGEST_WEIGHT = 6.0

_TEXT_ALONE, _COSINE_ALONE = 0.5, 0.3
# What each contradiction leaves of a pair's weight: a line at the same place that says something
# else (two at most are counted), other quantities, another number of copies, and neighbours that
# contradict only one of the two.
_LINE_DIFFERS, _NUMBERS_DIFFER, _COPIES_DIFFER, _NEIGHBOURS_DIFFER = 0.2, 0.12, 0.1, 0.15
# What is left where the titles have nothing in common, up to which cosine that is so, and from
# which on titles are alike.
_NAMES_DIFFER, _OTHER_NAME, _SAME_NAME = 0.2, 0.15, 0.55
_FEWEST_DIFFERING, _MOST_DIFFERING = 0.2, 0.5
# Natural logarithms of how much likelier it is between two products than within one that lines at
# the same place say something else, that titles contradict each other or have nothing in common,
# and that nothing contradicts although something could.
_LINES_CONTRADICT, _TITLES_CONTRADICT, _TITLES_APART, _NOTHING_CONTRADICTS = 3.0, 4.5, 3.0, -1.0
# Agreement of silhouettes: below the first two marks differ, from the second on they are one.
_OTHER_SHAPE, _SAME_SHAPE = 0.9, 0.985


@dataclass(frozen=True)
class PairEvidence:
    """The evidence of m pairs, one entry each.

    Attributes:
        cosine: of the vectors.
        print_weight: see `print_weight`; 0 where the print does not agree.
        overlay: how far the print that agrees is what a shop lays over its pictures, 0 to 1.
        shape: agreement of the silhouettes of two crops with little print, neither of them box or
            disc; NaN for others.
        bare: whether neither has print to speak of, so that a common silhouette makes them one.
        has_text: whether both packs bear six readable letters or more.
        text_similarity: cosine of character n-grams; 0 without text.
        conflicting: lines at the same place of the print that say something else.
        agreeing: lines at the same place of the print that say the same.
        contradicted: whether titles or print state different quantities, or titles replace a word.
        titles_contradict: whether their titles do; print also shows prices and neighbours on the
            shelf.
        title_similarity: cosine of the titles' character n-grams, NaN where either has none.
        copies_differ: whether one picture shows the pack more often than the other.
        neighbours_differ: share of common neighbours that contradict one of the two only; see
            `profile_disagreement`.
    """

    cosine: Reals
    print_weight: Reals
    overlay: Reals
    shape: Reals
    bare: NDArray[np.bool_]
    has_text: NDArray[np.bool_]
    text_similarity: Reals
    conflicting: NDArray[np.int64]
    agreeing: NDArray[np.int64]
    contradicted: NDArray[np.bool_]
    titles_contradict: NDArray[np.bool_]
    title_similarity: Reals
    copies_differ: NDArray[np.bool_]
    neighbours_differ: Reals


def pair_weights(evidence: PairEvidence, *, veto_numbers: bool, drop_weak: bool = True) -> Reals:
    """Return the weight of each pair, 0 where it is refused; weak pairs keep their small weight
    without `drop_weak`.

    Print that agrees counts more where the text agrees too; text alone joins packs whose print
    cannot be verified, and a distinctive silhouette joins marks that have none. Contradictions
    weaken a pair: near variants share all of their print but a line. A contradiction in number or
    title refuses it with `veto_numbers`.
    """
    by_text = np.where(evidence.has_text, (0.5 + evidence.text_similarity) / 0.85, 1.0)
    weight = np.minimum(evidence.print_weight, LARGEST_WEIGHT) * (1 - evidence.overlay) * by_text
    alone = (
        evidence.has_text
        & (evidence.text_similarity >= _TEXT_ALONE)
        & (evidence.cosine > _COSINE_ALONE)
    )
    by_text_alone = np.maximum(SMALLEST_WEIGHT + 0.1, evidence.text_similarity)
    weight = np.where(alone & (weight <= SMALLEST_WEIGHT), by_text_alone, weight)
    weight = np.minimum(_with_shape(weight, evidence), LARGEST_WEIGHT) * _left_by_contradictions(
        evidence, veto_numbers
    )
    return np.where(weight > SMALLEST_WEIGHT, weight, 0.0) if drop_weak else weight


def probability_of(weight: Reals) -> Reals:
    """Return how likely accepted pairs of such a weight show one product, 0 to 1.

    A logistic curve fitted to one half of the products of two sets of real photos and of two drawn
    catalogues of near variants with and without titles, each set counting alike (Brier score 0.121
    there, 0.122 on the other half). It errs on the side of doubt where a catalogue has few near
    variants.
    """
    return 1.0 / (1.0 + np.exp(-0.64 * (weight - 1.65)))


def contradiction_of(evidence: PairEvidence) -> Reals:
    """Return how strongly each pair contradicts being one product, as a natural logarithm of odds:
    float64 (m,).

    Negative where the two agree in what could have told them apart; 0 where nothing could, and
    where no print agrees.
    """
    lines = np.where(evidence.conflicting > 0, _LINES_CONTRADICT, 0.0)
    apart = np.where(evidence.title_similarity < _OTHER_NAME, _TITLES_APART, 0.0)
    against = lines + apart + np.where(evidence.titles_contradict, _TITLES_CONTRADICT, 0.0)
    could = (
        (evidence.agreeing > 0) | np.isfinite(evidence.title_similarity)
    ) & ~evidence.contradicted
    against = np.where((against == 0) & could, _NOTHING_CONTRADICTS, against)
    return np.where(evidence.print_weight > SMALLEST_WEIGHT, against, 0.0)


def _left_by_contradictions(evidence: PairEvidence, veto_numbers: bool) -> Reals:
    """Return what share of its weight each pair keeps."""
    span = _MOST_DIFFERING - _FEWEST_DIFFERING
    doubt = np.clip((evidence.neighbours_differ - _FEWEST_DIFFERING) / span, 0, 1)
    return np.asarray(
        _LINE_DIFFERS ** np.minimum(evidence.conflicting, 2)
        * np.where(evidence.contradicted, 0.0 if veto_numbers else _NUMBERS_DIFFER, 1.0)
        * np.interp(
            np.nan_to_num(evidence.title_similarity, nan=1.0),
            (_OTHER_NAME, _SAME_NAME),
            (_NAMES_DIFFER, 1.0),
        )
        * np.where(evidence.copies_differ, _COPIES_DIFFER, 1.0)
        * _NEIGHBOURS_DIFFER**doubt
    )


def _with_shape(weight: Reals, evidence: PairEvidence) -> Reals:
    by_shape = 1 + (LARGEST_WEIGHT - 1) * (evidence.shape - _SAME_SHAPE) / (1 - _SAME_SHAPE)
    joined = np.where(
        evidence.bare & (evidence.shape >= _SAME_SHAPE), np.maximum(weight, by_shape), weight
    )
    return np.where(evidence.shape < _OTHER_SHAPE, 0.0, joined)


# Kinds of evidence and how the names of their features begin; the first that fits counts.
KINDS = {
    "colours": (
        "colour",
        "palette",
        "aligned_hue",
        "aligned_tint",
        "aligned_chroma",
        "aligned_one_coloured",
    ),
    "alignment": ("aligned_", "map_"),
    "print": ("print", "overlap", "rules", "overlay", "shape"),
    "text": ("text", "lines"),
    "numbers": ("numbers",),
    "titles": ("title",),
    "attributes": ("kind", "form", "traits"),
    "copies": ("copies",),
    "look": ("encoder", "second"),
    "crowd": ("crowd",),
    "shop": ("shop",),
    "partners": ("partners", "path", "lead"),
}
# Contributions below this decide nothing, and so many are told.
_LEAST, _MOST = 0.3, 4


def told_reasons(contributions: Mapping[str, Reals], size: int) -> list[str | None]:
    """Return what decided each of `size` pairs, the strongest first: "text +2.1, colours -1.4";
    None where nothing did.
    """
    kinds = list(KINDS)
    sums = np.zeros((size, len(kinds)))
    for name, values in contributions.items():
        sums[:, kinds.index(kind_of(name))] += values
    order = np.argsort(-np.abs(sums), axis=1, kind="stable")[:, :_MOST]
    return [
        ", ".join(
            f"{kinds[column]} {row[column]:+.1f}"
            for column in columns
            if abs(row[column]) >= _LEAST
        )
        or None
        for row, columns in zip(sums.tolist(), order.tolist(), strict=True)
    ]


def kind_of(feature: str) -> str:
    """Return the kind of evidence of a feature."""
    return next(kind for kind, beginnings in KINDS.items() if feature.startswith(beginnings))


# Examples of each kind without which nothing is said.
FEWEST_EXAMPLES = 30
# Examples beside those of each kind that say nothing, so that no likeness is certain.
PSEUDO = 2.0
# Of plain candidates so many are true where nothing is known.
USUAL_SHARE = 0.1


def plain_log_odds(verified: Reals, others: Reals, plain: Reals) -> Reals | None:
    """Return the log-odds of one product of plain pairs, float64 (m,), by their likeness `plain`.

    `verified` and `others` are the likenesses of candidates whose print agrees, and of those whose
    print was compared and does not. None where there are too few of either.
    """
    if min(len(verified), len(others)) < FEWEST_EXAMPLES or len(plain) == 0:
        return None
    ratio = _log_ratio(verified, others, plain)
    odds = ratio + float(np.log(USUAL_SHARE / (1 - USUAL_SHARE)))
    moved: Reals = odds + prior_shift(odds, USUAL_SHARE)
    return moved


def _log_ratio(verified: Reals, others: Reals, asked: Reals) -> Reals:
    """Return the logarithm of how much likelier a likeness is among the verified."""
    from sklearn.isotonic import IsotonicRegression

    likeness = np.concatenate([verified, others])
    truth = np.repeat([1.0, 0.0], [len(verified), len(others)])
    # Both kinds weigh the same, so that the regression is the share of the first in an even mix.
    weights = np.repeat([1 / len(verified), 1 / len(others)], [len(verified), len(others)])
    shares = IsotonicRegression(out_of_bounds="clip").fit(likeness, truth, sample_weight=weights)
    doubt = PSEUDO / min(len(verified), len(others))
    share = np.clip(shares.predict(asked), doubt, 1 - doubt)
    log_ratio: Reals = np.log(share / (1 - share))
    return log_ratio
