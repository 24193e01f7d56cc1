"""What titles say about the product and not about the shop, and how two of them contradict each
other.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from clustering_pipeline.core.quantities import (
    Quantity,
    conflict_between,
    read_quantities,
    without_quantities,
)
from clustering_pipeline.core.text import plain_words, string_similarity, without_shop_phrases

Words = frozenset[str]

_MOST_SUBSTITUTED, _FEWEST_SHARED, _MISSPELT = 3, 4, 0.75
# Shops add so many words at most, and to the titles of so many products at least.
_MOST_ADDED, _FEWEST_PRODUCTS = 6, 3
# Titles of one product have their rarest words in common; so many of them are compared with each
# other.
_RAREST, _COMPARED = 2, 40
_HAS_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class TitleFacts:
    """What titles say about a product: the quantities in them, and the other words that no shop
    adds to others as well.
    """

    quantities: frozenset[Quantity]
    words: Words

    def joined(self, other: "TitleFacts") -> "TitleFacts":
        """Return what both say together."""
        return TitleFacts(self.quantities | other.quantities, self.words | other.words)


NOTHING_SAID = TitleFacts(frozenset(), frozenset())


def read_titles(titles: Iterable[str]) -> dict[str, TitleFacts]:
    """Return what each of the titles of a catalogue's listings says; a title may come several
    times.
    """
    listings = Counter(titles)
    words = {title: _words(title) for title in sorted(listings)}
    talk = shop_words(words.values())
    words = {title: said - talk for title, said in words.items()}
    codes = _own_codes(words, listings)
    return {
        title: TitleFacts(read_quantities(title), said - codes[title])
        for title, said in words.items()
    }


def _words(title: str) -> Words:
    return frozenset(without_shop_phrases(plain_words(without_quantities(title))).split())


def _own_codes(words: Mapping[str, Words], listings: Mapping[str, int]) -> dict[str, Words]:
    """Return the words with digits of each title that no other listing of the same words has: codes
    of the shop ("MS1234"), and not of the product ("M12").
    """
    numbered = {
        title: frozenset(word for word in said if _HAS_DIGIT.search(word))
        for title, said in words.items()
    }
    told: Counter[tuple[Words, str]] = Counter()
    for title, codes in numbered.items():
        told.update({(words[title] - codes, code): listings[title] for code in codes})
    return {
        title: frozenset(code for code in codes if told[words[title] - codes, code] < 2)
        for title, codes in numbered.items()
    }


def contradiction_between(first: TitleFacts, second: TitleFacts) -> str | None:
    """Return how two statements contradict each other in a quantity ("50 ml / 100 ml") or a word,
    or None.
    """
    return conflict_between(first.quantities, second.quantities) or substitution(
        first.words, second.words
    )


def substitution(first: Words, second: Words) -> str | None:
    """Return the words by which two otherwise equal titles replace each other ("ngay / dem"), or
    None.

    Titles of near variants differ in a word or two on both sides; titles of other shops differ in
    more, or only add.
    """
    left, right, shared = first - second, second - first, first & second
    if (
        not left
        or not right
        or max(len(left), len(right)) > _MOST_SUBSTITUTED
        or len(shared) < _FEWEST_SHARED
    ):
        return None
    one, other = " ".join(sorted(left)), " ".join(sorted(right))
    # A misspelt word is no other word.
    return None if string_similarity(one, other) >= _MISSPELT else f"{one} / {other}"


def shop_words(titles: Collection[Words]) -> Words:
    """Return the words that shops add to titles ("hot", "freeship"): those by which titles of three
    products or more differ while nothing stands in their place. Words that tell variants apart are
    replaced by others.
    """
    added = [
        (less, more - less)
        for less, more in _alike(titles)
        if less < more and len(more - less) <= _MOST_ADDED
    ]
    talk = Words().union(*(extra for _, extra in added))
    products: defaultdict[str, set[Words]] = defaultdict(set)
    for less, extra in added:
        for word in extra:
            products[word].add(less - talk)
    return frozenset(word for word, named in products.items() if len(named) >= _FEWEST_PRODUCTS)


def _alike(titles: Collection[Words]) -> Iterator[Sequence[Words]]:
    """Yield pairs of titles that share their rarest words, the shorter first."""
    frequency = Counter(word for title in titles for word in title)
    blocks: defaultdict[tuple[str, ...], set[Words]] = defaultdict(set)
    for title in titles:
        if len(title) >= _FEWEST_SHARED:
            rarest = sorted(title, key=lambda word: (frequency[word], word))[:_RAREST]
            blocks[tuple(rarest)].add(title)
    for block in blocks.values():
        yield from combinations(
            sorted(block, key=lambda title: (len(title), sorted(title)))[:_COMPARED], 2
        )
