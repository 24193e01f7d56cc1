"""How good a grouping is, from the answers to a few of its pairs.

Pairs are put into strata by whether they are together and by how likely one product they are, and a
random part of each stratum is asked about: stratified sampling, as for the evaluation of entity
resolution (Marchant and Rubinstein, "In search of an entity resolution OASIS", VLDB 2017). A pair
that stands for more listings is drawn sooner, so that the mean of the answers is the stratum's rate
(Hansen and Hurwitz 1943). The rates are estimated together, by Bayes: the evidence model says what
each should be, one shift of all logits says how far the model errs on this catalogue, and each
stratum may differ by itself. So a stratum of rare pairs, of which hardly any is seen, is as
uncertain as the model, and not certain because nothing was seen (Gelman et al., "Bayesian Data
Analysis", chapter 5). Answers may be wrong now and then.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]

# Limits of the strata by probability, and the one of pairs whose probability is not known.
EDGES = np.array([0.002, 0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97])
LOWEST, HIGHEST = 1e-5, 0.995
# Standard deviations of the shift of all logits, and of each stratum's own.
SHIFT, OWN = 0.8, 0.6
WRONG = 0.02
# Part of the random answers that is about pairs together.
TOGETHER = 0.45
# Shape of the beta distribution of the share of true pairs that were never compared. On the
# labelled sets it is 0.01 to 0.13.
NEVER_COMPARED = (1.2, 15.0)
DRAWS = 4000
_SHIFTS = np.linspace(-3.0, 3.0, 49)
_STEPS = np.linspace(-3.0, 3.0, 61)


@dataclass(frozen=True)
class Pairs:
    """The pairs of a grouping that could be asked about; n of them.

    Attributes:
        together: bool (n,), whether the grouping has them in one cluster.
        probability: float64 (n,), how likely each is one product by the evidence.
        weight: float64 (n,), for how many pairs of listings each stands.
        copies: how many pairs of listings are together because they show the same picture; they
            count as true.
    """

    together: Flags
    probability: Reals
    weight: Reals
    copies: float = 0.0

    def __len__(self) -> int:
        return len(self.together)


@dataclass(frozen=True)
class Answered:
    """What was said of pairs: m answers.

    Attributes:
        pairs: int64 (m,), positions in `Pairs`.
        same: bool (m,), whether they show one product.
        drawn: bool (m,), whether the pair was drawn at random, and not chosen for its gain.
    """

    pairs: Numbers
    same: Flags
    drawn: Flags


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval, which holds the true one with the asked probability."""

    value: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    def covers(self, truth: float) -> bool:
        """Whether the interval holds a value."""
        return self.low <= truth <= self.high


@dataclass(frozen=True)
class Quality:
    """Pairwise precision and recall of a grouping, over pairs of listings, and on how many random
    answers they rest.
    """

    precision: Estimate
    recall: Estimate
    answers: int


def strata(pairs: Pairs) -> Numbers:
    """Return the stratum of each pair, int64 (n,): by its probability, apart for those
    together.

    Example:
        >>> strata(Pairs(np.array([True, False]), np.array([0.95, 0.001]), np.ones(2))).tolist()
        [18, 0]
    """
    bins = np.searchsorted(EDGES, pairs.probability, side="right")
    return np.asarray(bins + pairs.together * (len(EDGES) + 1), np.int64)


def drawing_order(pairs: Pairs, seed: int) -> Numbers:
    """Return the pairs in the order in which they are drawn, int64 (n,).

    Of each stratum so many come first as its spread is large (Neyman 1934), none quite left out;
    within it a pair is drawn in proportion to its weight (Efraimidis and Spirakis 2006).
    """
    kind = strata(pairs)
    keys = -np.log(np.random.default_rng(seed).random(len(pairs))) / np.maximum(pairs.weight, 1e-9)
    order = np.lexsort((keys, kind))
    present, sizes = np.unique(kind[order], return_counts=True)
    shares = np.array([_spread(pairs, kind == one) for one in present])
    # Precision rests on the pairs together, recall on both.
    for inside, part in ((present > len(EDGES), TOGETHER), (present <= len(EDGES), 1 - TOGETHER)):
        shares[inside] *= part / max(shares[inside].sum(), LOWEST)
    # The k-th pair of a stratum with the share s is wanted when about k / s were drawn in all.
    rank = np.arange(len(pairs)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    due = (rank + 0.5) / np.repeat(shares, sizes)
    return np.asarray(order[np.argsort(due, kind="stable")], np.int64)


def _spread(pairs: Pairs, inside: Flags) -> float:
    """Return the standard deviation that a stratum adds to the number of true pairs."""
    chance = np.clip(pairs.probability[inside], LOWEST, HIGHEST)
    weight = pairs.weight[inside].sum()
    mean = float(np.average(chance, weights=pairs.weight[inside]))
    return float(weight * np.sqrt(mean * (1 - mean)))


def estimate_quality(
    pairs: Pairs,
    answered: Answered,
    *,
    confidence: float = 0.95,
    wrong: float = WRONG,
    seed: int = 0,
) -> Quality:
    """Return precision and recall of the grouping with their intervals.

    `confidence`: how often an interval should hold the true figure. `wrong`: the share of answers
    that are wrong. True pairs that were never compared, of which nobody can be asked, are counted
    by what the labelled sets say of them.

    Example:
        >>> together = np.arange(400) < 200
        >>> pairs = Pairs(together, np.where(together, 0.9, 0.1), np.ones(400))
        >>> asked = np.arange(0, 400, 8)
        >>> said = Answered(asked, together[asked], np.ones(50, bool))
        >>> found = estimate_quality(pairs, said)
        >>> found.precision.value > 0.9, found.answers
        (True, 50)
    """
    generator = np.random.default_rng(seed)
    true_together, true_apart = _true_pairs(pairs, answered, wrong, generator)
    right = true_together + pairs.copies
    share = generator.beta(*NEVER_COMPARED, DRAWS)
    true = (right + true_apart) / (1 - share)
    total = float(pairs.weight[pairs.together].sum()) + pairs.copies
    precision = np.minimum(right / total, 1.0) if total else np.ones(DRAWS)
    recall = np.divide(right, true, out=np.ones(DRAWS), where=true > 0)
    answers = int(answered.drawn.sum())
    return Quality(_interval(precision, confidence), _interval(recall, confidence), answers)


def _interval(draws: Reals, confidence: float) -> Estimate:
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(draws.mean()), float(low), float(high))


def _true_pairs(
    pairs: Pairs, answered: Answered, wrong: float, generator: np.random.Generator
) -> tuple[Reals, Reals]:
    """Return draws (float64, DRAWS) of how many pairs of listings are one product, together and
    apart.
    """
    kind, open_weight = strata(pairs), pairs.weight.copy()
    open_weight[answered.pairs] = 0
    present = np.unique(kind)
    rows = np.searchsorted(present, kind)
    size = len(present)
    weight = np.bincount(rows, pairs.weight, size)
    chance = np.clip(pairs.probability, LOWEST, HIGHEST)
    expected = np.bincount(rows, pairs.weight * chance, size) / np.maximum(weight, 1e-12)
    drawn = answered.pairs[answered.drawn]
    asked = np.bincount(rows[drawn], minlength=size)
    said = answered.same[answered.drawn].astype(np.float64)
    yes = np.asarray(np.bincount(rows[drawn], said, size), np.float64)
    rates = _rates(expected, asked, yes, wrong, generator)
    left = np.bincount(rows, open_weight, size)
    count = np.bincount(rows, open_weight > 0, size)
    mean = np.divide(left, count, out=np.zeros(size), where=count > 0)
    unseen = generator.binomial(count.astype(np.int64), rates) * mean
    inside = present > len(EDGES)
    answered_weights = _answered_weights(pairs, answered, wrong, generator)
    is_together = pairs.together[answered.pairs]
    return (
        unseen[:, inside].sum(axis=1) + answered_weights[:, is_together].sum(axis=1),
        unseen[:, ~inside].sum(axis=1) + answered_weights[:, ~is_together].sum(axis=1),
    )


def _answered_weights(
    pairs: Pairs, answered: Answered, wrong: float, generator: np.random.Generator
) -> Reals:
    """Return draws (float64, DRAWS × m) of what the answered pairs weigh where they are one
    product, an answer being wrong now and then.
    """
    prior = np.clip(pairs.probability[answered.pairs], LOWEST, HIGHEST)
    if_same = np.where(answered.same, 1 - wrong, wrong)
    chance = prior * if_same / (prior * if_same + (1 - prior) * (1 - if_same))
    drawn = generator.random((DRAWS, len(chance))) < chance
    return np.asarray(drawn * pairs.weight[answered.pairs], np.float64)


def _rates(
    expected: Reals, asked: NDArray[Any], yes: Reals, wrong: float, generator: np.random.Generator
) -> Reals:
    """Return draws (float64, DRAWS × strata) of the strata's rates of true pairs.

    logit(rate) = logit(expected) + shift + own, both normal; on a grid of both.
    """
    logit = np.log(expected) - np.log1p(-expected)
    # Strata × shifts × steps.
    grid = 1 / (1 + np.exp(-(logit[:, None, None] + _SHIFTS[:, None] + _STEPS)))
    said = grid * (1 - wrong) + (1 - grid) * wrong
    likelihood = yes[:, None, None] * np.log(said) + (asked - yes)[:, None, None] * np.log1p(-said)
    posterior = likelihood - 0.5 * (_STEPS / OWN) ** 2
    top = posterior.max(axis=2, keepdims=True)
    of_step = np.exp(posterior - top)
    of_shift = (np.log(of_step.sum(axis=2)) + top[:, :, 0]).sum(axis=0)
    of_shift -= 0.5 * (_SHIFTS / SHIFT) ** 2
    chosen = generator.choice(len(_SHIFTS), DRAWS, p=_normalised(np.exp(of_shift - of_shift.max())))
    rates = np.empty((DRAWS, len(expected)))
    for stratum in range(len(expected)):
        cumulated = np.cumsum(_normalised(of_step[stratum]), axis=1)[chosen]
        step = (cumulated < generator.random((DRAWS, 1))).sum(axis=1)
        rates[:, stratum] = grid[stratum, chosen, np.minimum(step, len(_STEPS) - 1)]
    return rates


def _normalised(weights: Reals) -> Reals:
    scaled: Reals = weights / weights.sum(axis=-1, keepdims=True)
    return scaled


def cohens_kappa(first: Flags, second: Flags) -> float:
    """Return how far two people agree on the same pairs beyond chance (Cohen 1960): 1 always, 0 as
    by chance; 1 for no pair at all.

    `first`, `second`: bool (m,), what each said.

    Example:
        >>> round(cohens_kappa(np.array([1, 1, 0, 0], bool), np.array([1, 0, 0, 0], bool)), 2)
        0.5
    """
    if len(first) == 0:
        return 1.0
    agreed = float((first == second).mean())
    chance = float(first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean()))
    return 1.0 if chance == 1 else (agreed - chance) / (1 - chance)
