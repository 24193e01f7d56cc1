"""Listings that say the same in their titles and are not together."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from clustering_pipeline.core.text import title_words
from clustering_pipeline.outputs.report.answers import Answers
from clustering_pipeline.outputs.report.tables import Listing


@dataclass(frozen=True)
class SameTitle:
    """A title that listings of several clusters have, or of a cluster and of none.

    `places`: its listings by cluster, those of clusters first; one without a match is a place of
    its own.
    """

    title: str
    places: tuple[tuple[Listing, ...], ...]

    @property
    def clusters(self) -> frozenset[int]:
        """The numbers of the clusters in which the title is."""
        numbers = (place[0].cluster_id for place in self.places)
        return frozenset(number for number in numbers if number is not None and number > 0)


def same_titles(listings: Sequence[Listing], answers: Answers) -> list[SameTitle]:
    """Return the titles, compared without case and punctuation, whose listings are not together
    although nobody said that they should not be; those with most listings first.
    """
    groups: dict[tuple[str, ...], list[Listing]] = defaultdict(list)
    for listing in listings:
        words = title_words(listing.title)
        if words and listing.status in ("clustered", "no_match"):
            groups[words].append(listing)
    candidates = [SameTitle(items[0].title, _places(items)) for items in groups.values()]
    shown = [one for one in candidates if one.clusters and _is_open(one.places, answers)]
    return sorted(shown, key=lambda one: (-sum(map(len, one.places)), one.title))


def _places(listings: Iterable[Listing]) -> tuple[tuple[Listing, ...], ...]:
    places: dict[tuple[bool, int], list[Listing]] = defaultdict(list)
    for listing in listings:
        number = listing.cluster_id
        grouped = number is not None and number > 0
        key = (False, number) if grouped and number is not None else (True, listing.listing)
        places[key].append(listing)
    return tuple(tuple(places[key]) for key in sorted(places))


def _is_open(places: Sequence[Sequence[Listing]], answers: Answers) -> bool:
    return any(not answers.settle_any(one, other) for one, other in combinations(places, 2))
