"""Which two listings to ask a person about next: those whose answer changes most, mixed with pairs
drawn at random, by whose answers the grouping is measured.

A picture is the listings of one cluster that share a keeper: what is said of one of them holds for
all. Nothing is remembered but the statements themselves: the random pairs come in a fixed order,
and its beginning that was answered is the sample.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.core.corrections import (
    Different,
    ListingReference,
    RecordedCorrection,
    Same,
    Unsure,
)
from clustering_pipeline.core.graph import DisjointSets, spanning_links
from clustering_pipeline.evaluation import (
    Answered,
    Pairs,
    Quality,
    cohens_kappa,
    drawing_order,
    estimate_quality,
)
from clustering_pipeline.outputs.report import (
    Answers,
    AskedPair,
    CategoryTables,
    Cluster,
    Listing,
    as_links,
    read_listings,
)

Numbers = NDArray[np.int64]
# A pair apart that is less likely one product is asked about at random only.
LEAST_LIKELY = 0.02
# Of a picture that matches nothing so many places are shown, none that is less likely.
NEAREST, LEAST_NEAR = 3, 0.001
# Of so many questions one is about a pair that somebody else has answered.
SECOND_OPINION = 8
# A match outside a picture's cluster that is less likely one product is not worth a word.
LEAST_LEANING = 0.3
# A link is doubtful below this probability.
SURE = 0.85


@dataclass(frozen=True)
class Question:
    """Two listings to ask about.

    `pair` is what the category knows of their match, its link None where they were never compared.
    `together`: whether they are in one cluster. `size`: how many pairs of listings the answer could
    change.
    """

    first: Listing
    second: Listing
    match: AskedPair | None
    together: bool
    probability: float
    size: float


@dataclass(frozen=True)
class Standing:
    """How far a category's review has come.

    `quality` is None before the first random answer. `answers` are those of people so far, `open`
    the answers that would settle the `doubtful` clusters. `kappa`: how far two people agree on the
    `twice` pairs that both answered.
    """

    quality: Quality | None
    answers: int
    open: int
    doubtful: int
    kappa: float | None
    twice: int


@dataclass(frozen=True)
class Leaning:
    """A picture that is likelier one product with one of another cluster than with any of its own.

    `toward`: the listing there, in `cluster`. `probability`: of the match with it; `inside`: of the
    likeliest match within the own cluster, 0 without one.
    """

    cluster: int
    toward: Listing
    probability: float
    inside: float


@dataclass(frozen=True)
class Unmatched:
    """The pictures that match nothing: how many are left to place, and the likeliest `places` of
    the next one, as questions whose `first` it is.
    """

    left: int
    places: tuple[Question, ...]


class PairQueue:
    """The pairs of one category after one run, in the order in which they are asked."""

    def __init__(
        self, tables: CategoryTables, clusters: Sequence[Cluster], seed: int | None = None
    ) -> None:
        """`clusters`: all of the category. `seed` decides the random order; by default what is in
        the clusters does.
        """
        self._clusters = clusters
        self._listings = read_listings(tables)
        self.pictures = _pictures(self._listings)
        self._table = _pair_table(self.pictures, tables.matches)
        self.pairs = Pairs(
            together=self._table["together"].to_numpy(bool),
            probability=self._table["probability"].to_numpy(np.float64),
            weight=self._table["weight"].to_numpy(np.float64),
            copies=_copies(self.pictures),
        )
        content = "\n".join(f"{one.first.product_base_id}\0{one.cluster}" for one in self.pictures)
        own = int.from_bytes(hashlib.sha256(content.encode()).digest()[:4], "little")
        self._drawing = drawing_order(self.pairs, own if seed is None else seed)

    def questions(
        self, corrections: Sequence[RecordedCorrection], author: str, count: int = 1
    ) -> list[Question]:
        """Return the next `count` questions for a person, fewer when there are no more; what people
        have answered is not among them, but for a second opinion now and then.

        `corrections`: those in force.
        """
        said = Answers([one.statement for one in corrections], self._listings)
        unsure = _pairs_of(corrections, (Unsure,))
        number = _answers(corrections)
        chosen: list[int] = []
        sources = self._by_gain(said, unsure), self._at_random(said, unsure)
        seconds = self._answered_by_others(corrections, author)
        while len(chosen) < count:
            turn = number + len(chosen)
            order: tuple[Iterator[int], ...] = (sources[turn % 2], sources[1 - turn % 2])
            if turn % SECOND_OPINION == SECOND_OPINION - 1:
                order = (seconds, *order)
            fresh = (pair for source in order for pair in source if pair not in chosen)
            question = next(fresh, None)
            if question is None:
                break
            chosen.append(question)
        return [self._question(pair) for pair in chosen]

    def unmatched(
        self, corrections: Sequence[RecordedCorrection], count: int = NEAREST
    ) -> Unmatched:
        """Return how many pictures match nothing though they are near to something, and of the
        likeliest of them its likeliest places, at most `count`.

        A picture of which people have said that it is one product with another is not among them,
        nor a place that they have spoken of. `corrections`: those in force.
        """
        said = Answers([one.statement for one in corrections], self._listings)
        unsure = _pairs_of(corrections, (Unsure,))
        placed = {
            picture
            for pair in self._spoken_of(corrections)
            if said.said(*self._ends(pair))
            for picture in (int(self.first[pair]), int(self.second[pair]))
        }
        by_pair: dict[int, dict[tuple[int, str], int]] = defaultdict(dict)
        for pair in self._likeliest.tolist():
            ends = int(self.first[pair]), int(self.second[pair])
            if self._key(pair) in unsure or said.settle(*self._ends(pair)):
                continue
            for own, other in (ends, ends[::-1]):
                if self.pictures[own].cluster < 0 and own not in placed:
                    places = by_pair[own]
                    if len(places) < count:
                        places.setdefault(self.pictures[other].place, pair)
        own, likeliest = next(iter(by_pair.items()), (-1, {}))
        return Unmatched(
            len(by_pair), tuple(self._question_from(own, pair) for pair in likeliest.values())
        )

    def standing(self, corrections: Sequence[RecordedCorrection]) -> Standing:
        """Return how good the grouping is by the answers so far, and what is left to ask;
        `corrections`: those in force.
        """
        said = Answers([one.statement for one in corrections], self._listings)
        open_links = [
            sum(not said.settle(link.first, link.second) for link in _doubtful_links(cluster))
            for cluster in self._clusters
        ]
        answered = self.answered(corrections)
        twice = _said_twice(corrections)
        first, second = (np.array([pair[side] for pair in twice], bool) for side in (0, 1))
        return Standing(
            quality=estimate_quality(self.pairs, answered) if answered.drawn.any() else None,
            answers=_answers(corrections),
            open=sum(open_links),
            doubtful=sum(count > 0 for count in open_links),
            kappa=cohens_kappa(first, second) if twice else None,
            twice=len(twice),
        )

    def answered(self, corrections: Sequence[RecordedCorrection]) -> Answered:
        """Return what the statements in force say of the pairs; the sample is the beginning of the
        random order that was answered.
        """
        said = Answers([one.statement for one in corrections], self._listings)
        unsure = _pairs_of(corrections, (Unsure,))
        answers = {
            pair: answer
            for pair in self._spoken_of(corrections)
            if (answer := said.said(*self._ends(pair))) is not None
        }
        drawn = set[int]()
        for pair in self._drawing.tolist():
            if pair not in answers and self._key(pair) not in unsure:
                break
            drawn.add(pair)
        return Answered(
            np.array(list(answers), np.int64),
            np.array(list(answers.values()), bool),
            np.array([pair in drawn for pair in answers], bool),
        )

    def _spoken_of(self, corrections: Sequence[RecordedCorrection]) -> list[int]:
        """Return the pairs of which a statement may say something: both pictures are in one."""
        named = {reference for one in corrections for reference in _references(one)}
        spoken = np.array([one.is_named(named) for one in self.pictures], bool)
        both = spoken[self.first] & spoken[self.second]
        return np.flatnonzero(both).tolist()

    def _at_random(self, said: Answers, unsure: set[frozenset[ListingReference]]) -> Iterator[int]:
        for pair in self._drawing.tolist():
            if said.said(*self._ends(pair)) is None and self._key(pair) not in unsure:
                yield pair

    def _by_gain(self, said: Answers, unsure: set[frozenset[ListingReference]]) -> Iterator[int]:
        """Yield pairs by the entropy of their probability times what would change, the largest
        first; of two clusters that were answered about no other pair.
        """
        members = defaultdict(list)
        for one in self.pictures:
            members[one.place].append(one.first)
        for pair in self._gains.tolist():
            first, second = self.pictures[self.first[pair]], self.pictures[self.second[pair]]
            if self._key(pair) in unsure:
                continue
            if first.place == second.place:
                settled = said.settle(first.first, second.first)
            else:
                settled = said.settle_any(members[first.place], members[second.place])
            if not settled:
                yield pair

    def _answered_by_others(
        self, corrections: Sequence[RecordedCorrection], author: str
    ) -> Iterator[int]:
        """Yield pairs that others have answered and this person has not."""
        pairs = {_key_of(self._ends(pair)): pair for pair in self._spoken_of(corrections)}
        own = _pairs_of([one for one in corrections if one.correction.author == author])
        others = _pairs_of([one for one in corrections if one.correction.author != author])
        for key in sorted(others - own, key=str):
            if key in pairs:
                yield pairs[key]

    @cached_property
    def _gains(self) -> Numbers:
        """Pairs that are worth an answer, the largest gain first."""
        frame, probability = self._table, self.pairs.probability
        codes = dict[tuple[int, str], int]()
        places = np.array(
            [codes.setdefault(one.place, len(codes)) for one in self.pictures], np.int64
        )
        ends = np.sort(np.stack([places[self.first], places[self.second]], 1), axis=1)
        likely = np.where(self.pairs.together, False, probability >= LEAST_LIKELY)
        apart = pd.DataFrame({"a": ends[:, 0], "b": ends[:, 1], "p": probability})[likely]
        best = apart.sort_values("p", ascending=False, kind="stable").drop_duplicates(["a", "b"])
        chosen = np.concatenate([best.index.to_numpy(np.int64), np.flatnonzero(self._cuts > 0)])
        size = np.where(frame["together"], self._cuts, frame["size"].to_numpy(np.float64))
        chance = np.clip(frame["evidence"].to_numpy(np.float64), 1e-6, 1 - 1e-6)
        entropy = -chance * np.log2(chance) - (1 - chance) * np.log2(1 - chance)
        return np.asarray(chosen[np.argsort(-(entropy * size)[chosen], kind="stable")], np.int64)

    @cached_property
    def _likeliest(self) -> Numbers:
        """The pairs apart that may be one product, the likeliest first."""
        evidence = self._table["evidence"].to_numpy(np.float64)
        apart = np.flatnonzero(~self.pairs.together & (evidence >= LEAST_NEAR))
        return np.asarray(apart[np.argsort(-evidence[apart], kind="stable")], np.int64)

    @cached_property
    def _cuts(self) -> NDArray[np.float64]:
        """How many pairs of listings are parted where a link of a cluster's spanning tree is wrong;
        0 for other pairs (float64, n).
        """
        cuts = np.zeros(len(self._table))
        inside = self._table[self._table["together"] & (self._table["match_weight"] > 0)]
        inside = inside.sort_values("match_weight", ascending=False, kind="stable")
        first, second = self.first[inside.index], self.second[inside.index]
        sizes = [float(len(one.listings)) for one in self.pictures]
        sets = DisjointSets[int]()
        for position in spanning_links(len(self.pictures), first, second).tolist():
            one, other = sets.find(int(first[position])), sets.find(int(second[position]))
            cuts[inside.index[position]] = sizes[one] * sizes[other]
            sizes[one] += sizes[other]
            sets.join(one, other)
        return cuts

    @cached_property
    def first(self) -> Numbers:
        """The position of each pair's first picture, int64 (n,)."""
        return self._table["first"].to_numpy(np.int64)

    @cached_property
    def second(self) -> Numbers:
        """The position of each pair's second picture, int64 (n,)."""
        return self._table["second"].to_numpy(np.int64)

    @cached_property
    def compared(self) -> NDArray[np.float64]:
        """How likely one product the pictures of each pair are by their match, float64 (n,), NaN
        where they were never compared.
        """
        evidence = self._table["evidence"].to_numpy(np.float64)
        return np.where(self._table["crop_a"].notna(), evidence, np.nan)

    @cached_property
    def leanings(self) -> dict[int, Leaning]:
        """The pictures of clusters that lean toward another one, by the number of the listing that
        is shown.
        """
        compared = np.nan_to_num(self.compared)
        best = {True: np.zeros(len(self.pictures)), False: np.zeros(len(self.pictures))}
        toward = np.full(len(self.pictures), -1)
        cluster = np.array([one.cluster for one in self.pictures], np.int64)
        for own, other in ((self.first, self.second), (self.second, self.first)):
            for inside, likeliest in best.items():
                # Of another cluster, not of a picture without one.
                pairs = np.flatnonzero(
                    (self.pairs.together == inside) & (cluster[own] >= 0) & (cluster[other] >= 0)
                )
                pairs = pairs[np.argsort(compared[pairs], kind="stable")]
                better = pairs[compared[pairs] > likeliest[own[pairs]]]
                likeliest[own[better]] = compared[better]
                if not inside:
                    toward[own[better]] = other[better]
        return {
            self.pictures[row].first.listing: Leaning(
                int(cluster[toward[row]]),
                self.pictures[toward[row]].first,
                float(best[False][row]),
                float(best[True][row]),
            )
            for row in np.flatnonzero(best[False] > best[True]).tolist()
            if best[False][row] >= LEAST_LEANING
        }

    def _ends(self, pair: int) -> tuple[Listing, Listing]:
        return (
            self.pictures[self.first[pair]].first,
            self.pictures[self.second[pair]].first,
        )

    def _key(self, pair: int) -> frozenset[ListingReference]:
        return _key_of(self._ends(pair))

    def _question_from(self, own: int, pair: int) -> Question:
        """Return the question with a picture's listing as the first."""
        asked = self._question(pair)
        if int(self.first[pair]) == own:
            return asked
        match = asked.match
        turned = None if match is None else AskedPair(match.second, match.first, match.link)
        return replace(asked, first=asked.second, second=asked.first, match=turned)

    def _question(self, pair: int) -> Question:
        first, second = self._ends(pair)
        row = self._table.iloc[[pair]]
        is_compared = bool(row["crop_a"].notna().iloc[0])
        match = AskedPair(first, second, as_links(row)[0]) if is_compared else None
        size = self._cuts[pair] or row["size"].iloc[0]
        together = bool(self.pairs.together[pair])
        return Question(first, second, match, together, float(row["evidence"].iloc[0]), float(size))


@dataclass(frozen=True)
class Picture:
    """The listings of one cluster that share a keeper, or of none: `cluster` is negative then."""

    cluster: int
    keeper: str
    listings: tuple[Listing, ...]

    @property
    def first(self) -> Listing:
        """The listing that is shown."""
        return self.listings[0]

    @property
    def place(self) -> tuple[int, str]:
        """What a pair of these belongs to: the cluster, or the picture where it has none."""
        return (self.cluster, "") if self.cluster >= 0 else (self.cluster, self.keeper)

    def is_named(self, references: set[ListingReference]) -> bool:
        """Whether one of its listings is named."""
        return any(
            ListingReference(one.product_base_id, image) in references
            for one in self.listings
            for image in (None, one.image_sha256)
            if one.product_base_id
        )


def _pictures(listings: Sequence[Listing]) -> list[Picture]:
    by_picture: dict[tuple[int, str], list[Listing]] = defaultdict(list)
    for one in listings:
        if one.keeper and one.cluster_id is not None and one.product_base_id:
            by_picture[one.cluster_id, one.keeper].append(one)
    return [
        Picture(cluster, keeper, tuple(listings_of))
        for (cluster, keeper), listings_of in by_picture.items()
    ]


def _copies(pictures: Sequence[Picture]) -> float:
    sizes = [len(one.listings) for one in pictures if one.cluster >= 0]
    return float(sum(size * (size - 1) // 2 for size in sizes))


def _pair_table(pictures: Sequence[Picture], matches: pd.DataFrame) -> pd.DataFrame:
    """Return a row per pair that could be asked about: those that were compared, and those of one
    cluster; with the columns of its match.
    """
    nodes = pd.DataFrame(
        {
            "node": range(len(pictures)),
            "crop": [one.keeper for one in pictures],
            "cluster": [one.cluster for one in pictures],
            "listings": [float(len(one.listings)) for one in pictures],
            "confidence": [
                1.0 if one.first.confidence is None else one.first.confidence for one in pictures
            ],
        }
    )
    inside = _inside(nodes)
    compared = matches[["crop_a", "crop_b"]].reset_index(names="match")
    for side, end in (("crop_a", "first"), ("crop_b", "second")):
        ends = nodes[["crop", "node"]].rename(columns={"crop": side, "node": end})
        compared = compared.merge(ends, on=side)
    both = pd.concat([compared[["match", "first", "second"]], inside], ignore_index=True)
    low, high = both[["first", "second"]].min(axis=1), both[["first", "second"]].max(axis=1)
    both = both.assign(low=low, high=high).drop_duplicates(["low", "high"]).reset_index(drop=True)
    shown = both.join(matches.reset_index(drop=True), on="match")
    return _with_sizes(shown.rename(columns={"weight": "match_weight"}), nodes)


def _inside(nodes: pd.DataFrame) -> pd.DataFrame:
    """Return every pair of pictures of one cluster."""
    parts = [
        np.stack([members[index] for index in np.triu_indices(len(members), 1)], 1)
        for cluster, group in nodes.groupby("cluster")
        if int(str(cluster)) >= 0
        for members in [group["node"].to_numpy()]
    ]
    pairs = np.concatenate([np.empty((0, 2), np.int64), *parts])
    return pd.DataFrame({"match": pd.NA, "first": pairs[:, 0], "second": pairs[:, 1]})


def _with_sizes(shown: pd.DataFrame, nodes: pd.DataFrame) -> pd.DataFrame:
    first, second = (nodes.loc[shown[end]].reset_index(drop=True) for end in ("first", "second"))
    together = (first["cluster"] == second["cluster"]) & (first["cluster"] >= 0)
    of_cluster = nodes[nodes["cluster"] >= 0].groupby("cluster")["listings"].sum()
    sizes = [
        end["cluster"].map(of_cluster).fillna(end["listings"]).to_numpy(np.float64)
        for end in (first, second)
    ]
    evidence = shown["probability"].astype("Float64").to_numpy(np.float64, na_value=np.nan)
    # Whom a cluster holds for sure is likelier one product than the pair alone says.
    joint = np.where(together, first["confidence"] * second["confidence"], 0.0)
    probability = np.fmax(np.fmax(evidence, joint), 0.0)
    return shown.drop(columns="probability").assign(
        together=together,
        weight=first["listings"] * second["listings"],
        size=sizes[0] * sizes[1],
        evidence=np.where(np.isnan(evidence), probability, evidence),
        probability=probability,
        match_weight=shown["match_weight"].fillna(0.0),
    )


def _answers(corrections: Sequence[RecordedCorrection]) -> int:
    return sum(isinstance(one.statement, Same | Different | Unsure) for one in corrections)


def _doubtful_links(cluster: Cluster) -> list[AskedPair]:
    return [one for one in cluster.links if (one.link.probability or 0.0) < SURE]


def _references(said: RecordedCorrection) -> tuple[ListingReference, ...]:
    statement = said.statement
    return (statement.a, statement.b) if isinstance(statement, Same | Different | Unsure) else ()


def _key_of(ends: tuple[Listing, Listing]) -> frozenset[ListingReference]:
    return frozenset(ListingReference(one.product_base_id, one.image_sha256) for one in ends)


def _pairs_of(
    corrections: Sequence[RecordedCorrection],
    kinds: tuple[type, ...] = (Same, Different, Unsure),
) -> set[frozenset[ListingReference]]:
    return {frozenset(_references(one)) for one in corrections if isinstance(one.statement, kinds)}


def _said_twice(corrections: Sequence[RecordedCorrection]) -> list[tuple[bool, bool]]:
    """Return what the two people said who answered most pairs in common."""
    by_pair: dict[frozenset[ListingReference], dict[str, bool]] = defaultdict(dict)
    for one in corrections:
        if isinstance(one.statement, Same | Different):
            pair = frozenset(_references(one))
            by_pair[pair][one.correction.author] = isinstance(one.statement, Same)
    couples = Counter(tuple(sorted(said)[:2]) for said in by_pair.values() if len(said) > 1)
    if not couples:
        return []
    first, second = couples.most_common(1)[0][0]
    return [
        (said[first], said[second]) for said in by_pair.values() if first in said and second in said
    ]
