"""What people have answered already, so that nobody is asked it again."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from clustering_pipeline.core.corrections import Different, ListingReference, Same, Statement
from clustering_pipeline.core.graph import DisjointSets
from clustering_pipeline.outputs.report.tables import Listing


class Answers:
    """What statements say of pairs of listings, and what follows from several of them.

    The listings of one cluster that share a picture are one thing to a reviewer: what was said of
    one of them holds for the others.
    """

    def __init__(self, statements: Iterable[Statement], listings: Iterable[Listing]) -> None:
        """`statements`: those in force; ones whose listings are not among `listings` say
        nothing.
        """
        self._sets = DisjointSets[int]()
        named = self._learn(listings)
        said = list(statements)
        for statement in said:
            if isinstance(statement, Same):
                for a, b in _pairs(statement, named):
                    self._sets.join(a, b)
        self._apart: dict[int, set[int]] = defaultdict(set)
        for statement in said:
            if isinstance(statement, Different):
                for a, b in _pairs(statement, named):
                    self._separate(self._sets.find(a), self._sets.find(b))

    def _learn(self, listings: Iterable[Listing]) -> dict[str, list[Listing]]:
        named: dict[str, list[Listing]] = defaultdict(list)
        first: dict[tuple[int | None, str], int] = {}
        for listing in listings:
            named[listing.product_base_id].append(listing)
            if listing.keeper:
                place = listing.cluster_id, listing.keeper
                self._sets.join(first.setdefault(place, listing.listing), listing.listing)
        return named

    def _separate(self, first: int, second: int) -> None:
        self._apart[first].add(second)
        self._apart[second].add(first)

    def said(self, first: Listing, second: Listing) -> bool | None:
        """Return whether people have said that the two show one product; None where nobody said
        anything from which it follows.
        """
        one, other = self._sets.find(first.listing), self._sets.find(second.listing)
        if one == other:
            return True
        return False if other in self._apart.get(one, ()) else None

    def settle(self, first: Listing, second: Listing) -> bool:
        """Whether people have said that the two show one product, or two."""
        return self.settle_any([first], [second])

    def settle_any(self, first: Sequence[Listing], second: Sequence[Listing]) -> bool:
        """Whether people have said so of any listing of `first` and any of `second`."""
        ones = {self._sets.find(listing.listing) for listing in first}
        others = {self._sets.find(listing.listing) for listing in second}
        apart = {far for one in ones for far in self._apart.get(one, ())}
        return not others.isdisjoint(ones | apart)


def confirmed_listings(statements: Iterable[Statement], listings: Iterable[Listing]) -> set[int]:
    """Return the listings, by number, of which people have said that they show the product of
    another one of their cluster.
    """
    by_id: dict[str, list[Listing]] = defaultdict(list)
    for listing in listings:
        by_id[listing.product_base_id].append(listing)
    cluster = {one.listing: one.cluster_id for same in by_id.values() for one in same}
    return {
        number
        for statement in statements
        if isinstance(statement, Same)
        for pair in _pairs(statement, by_id)
        if cluster[pair[0]] == cluster[pair[1]] is not None
        for number in pair
    }


def confirmed_clusters(statements: Iterable[Statement], listings: Sequence[Listing]) -> set[int]:
    """Return the clusters, by number, of several pictures that people have all said to show one
    product.
    """
    answers = Answers(statements, listings)
    members: dict[int, list[Listing]] = defaultdict(list)
    for listing in listings:
        if listing.cluster_id is not None and listing.cluster_id >= 0:
            members[listing.cluster_id].append(listing)
    return {
        number
        for number, inside in members.items()
        if len({one.keeper or one.listing for one in inside}) > 1
        and all(answers.said(inside[0], other) for other in inside[1:])
    }


def _pairs(said: Same | Different, named: dict[str, list[Listing]]) -> Iterable[tuple[int, int]]:
    return (
        (a.listing, b.listing)
        for a in _meant(said.a, named)
        for b in _meant(said.b, named)
        if a.listing != b.listing
    )


def _meant(said: ListingReference, named: dict[str, list[Listing]]) -> list[Listing]:
    return [
        listing
        for listing in named.get(said.product_base_id, ())
        if said.image_sha256 in (None, listing.image_sha256)
    ]
