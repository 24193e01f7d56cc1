"""What titles say about the product and not about the shop, quantities above all, and how two of
them contradict each other.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from clustering_pipeline.core.text import (
    plain_words,
    string_similarity,
    without_accents,
    without_shop_phrases,
)

_NUMBER = r"(\d+(?:[.,]\d+)*)"
_EDGE = r"(?![a-z0-9])"
# Unit as written (without accents), its kind, and how many of the kind's base unit it is.
_UNITS: dict[str, tuple[str, float]] = {
    "ml": ("ml", 1),
    # With the sign of the European Union for estimated contents behind it, as readers see it.
    "mle": ("ml", 1),
    "ge": ("g", 1),
    "cc": ("ml", 1),
    "cl": ("ml", 10),
    "dl": ("ml", 100),
    "l": ("ml", 1000),
    "lit": ("ml", 1000),
    "liter": ("ml", 1000),
    "litre": ("ml", 1000),
    "floz": ("ml", 29.5735),
    "fl oz": ("ml", 29.5735),
    "fl.oz": ("ml", 29.5735),
    "mg": ("mg", 1),
    "mcg": ("mcg", 1),
    "g": ("g", 1),
    "gr": ("g", 1),
    "gram": ("g", 1),
    "kg": ("g", 1000),
    "oz": ("oz", 1),
    "vien": ("pieces", 1),
    "goi": ("pieces", 1),
    "tui": ("pieces", 1),
    "bags": ("pieces", 1),
    "sachets": ("pieces", 1),
    "thanh": ("pieces", 1),
    "mieng": ("pieces", 1),
    "to": ("pieces", 1),
    "pcs": ("pieces", 1),
    "tablets": ("pieces", 1),
    "capsules": ("pieces", 1),
    "sheets": ("pieces", 1),
    "%": ("%", 1),
}
# Kinds of quantities that say how much is in a pack.
SIZES = ("ml", "g", "oz", "pieces")


def _measures_in(units: Iterable[str]) -> re.Pattern[str]:
    longest_first = "|".join(map(re.escape, sorted(units, key=len, reverse=True)))
    return re.compile(rf"(?<![a-z0-9.,]){_NUMBER}[\s.]*({longest_first}){_EDGE}")


_MEASURE = _measures_in(_UNITS)
_SIZE = _measures_in(unit for unit, (kind, _) in _UNITS.items() if kind in SIZES)
_WRITTEN_APART = re.compile(
    rf"(?<![\w.,])(\d+(?:[.,]\d+)* (?:{'|'.join(map(re.escape, _UNITS))})|spf \d+)(?!\w)",
    re.IGNORECASE,
)
# What a price is reduced by, and how genuine a shop says that it is.
_OFFER = re.compile(
    r"(?:giam|sale|off|voucher|hoan)(?:\s+(?:gia|toi|den|ngay|len|xu))*\s*[:-]?\s*\d+\s*%"
    r"|(?<![a-z0-9])[-−–]\d+\s*%|\d+\s*%\s*off"
    r"|(?<![a-z0-9.,])100\s*%"
)
_SPF = re.compile(rf"spf\s*:?\s*{_NUMBER}")
_BUNDLE_BEFORE = re.compile(
    r"(?:combo|bo|set|loc|thung|pack of|pack|bundle of)\s*(?:gom\s*)?(\d{1,2})" + _EDGE
)
_BUNDLE_AFTER = re.compile(
    r"(?<![a-z0-9.,])(\d{1,2})\s*(?:-\s*)?(?:pack|chai|hop|tuyp|tube|hu|lo|lon|bich)" + _EDGE
)
_TIMES_BEFORE = re.compile(r"(?<![a-z0-9.,])(\d{1,2})\s*[x×*]\s*(?=\d)")
_TIMES_AFTER = re.compile(r"[x×*]\s*(\d{1,2})(?![a-z0-9.,%])")
_TWIN = re.compile(r"(?<![a-z])(?:twin pack|mua 1 tang 1|1 tang 1)(?![a-z])")
_THOUSANDS = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
_LARGEST_BUNDLE = 48
# A millilitre of what shops sell weighs at most so many grams, and at least the inverse.
_HEAVIEST = 1.6
Words = frozenset[str]
# Titles of near variants replace so many words at most ...
_MOST_SUBSTITUTED = 3
# ... and share so many at least.
_FEWEST_SHARED = 4
# Words as similar as this are one word, misspelt.
_MISSPELT = 0.75
# Shops add so many words to a title at most ...
_MOST_ADDED = 6
# ... and to the titles of so many products at least.
_FEWEST_PRODUCTS = 3
# Titles of one product have so many of their rarest words in common ...
_RAREST = 2
# ... and so many titles with those words are compared with each other.
_COMPARED = 40
_HAS_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, order=True)
class Quantity:
    """A number and what it counts: kind is ml, g, mg, mcg, oz, pieces, %, spf or packs; volumes and
    masses in ml and g.
    """

    kind: str
    value: float

    def __str__(self) -> str:
        number = f"{self.value:g}"
        if self.kind == "spf":
            return f"SPF {number}"
        unit = self.kind.removesuffix("s") if self.value == 1 else self.kind
        return f"{number}%" if self.kind == "%" else f"{number} {unit}"


def read_quantities(text: str) -> frozenset[Quantity]:
    """Return the quantities that a title or the print of a pack states, in any capitals, with or
    without accents.

    Example:
        >>> sorted(map(str, read_quantities("Combo 2 chai dầu gội 0.65L, SPF50")))
        ['2 packs', '650 ml', 'SPF 50']
    """
    plain = _OFFER.sub(" ", _plain(text))
    return frozenset([*_measures(plain), *_protection(plain), *_bundles(plain)])


def split_by_measures(text: str) -> list[str]:
    """Return the parts of a text whose numbers stand apart from their units: what is around them
    at even places, number and unit together at odd ones.

    Example:
        >>> split_by_measures("Nước tẩy trang 500 ml")
        ['Nước tẩy trang ', '500 ml', '']
    """
    return _WRITTEN_APART.split(text)


def without_quantities(text: str) -> str:
    """Return the plain text of a title without what `read_quantities` reads in it.

    Example:
        >>> without_quantities("Sữa chống nắng Anessa SPF50+ 60ml")
        'sua chong nang anessa +'
    """
    plain = _plain(text)
    for pattern in (
        _OFFER,
        _BUNDLE_BEFORE,
        _TIMES_BEFORE,
        _TIMES_AFTER,
        _TWIN,
        _SPF,
        _MEASURE,
        _BUNDLE_AFTER,
    ):
        plain = pattern.sub(" ", plain)
    return " ".join(plain.split())


def without_sizes(text: str) -> str:
    """Return the plain text of a line of print without how much is in the pack.

    Example:
        >>> without_sizes("Gel moussant 200 ml / 6.7 FL OZ, SPF 30")
        'gel moussant / , spf 30'
    """
    return " ".join(_SIZE.sub(" ", _plain(text)).split())


def quantity_conflict(first: str, second: str, *, unsaid_is_single: bool = True) -> str | None:
    """Return how two texts contradict each other in number ("50 ml / 100 ml"), or None.

    They do when both state a quantity of one kind and share no value of it, or one its volume and
    the other a mass that no filling of that volume has. With `unsaid_is_single` a text without a
    number of packs means one pack, as titles do; the print on a pack leaves it open.

    Example:
        >>> quantity_conflict("Anessa 60ml", "Anessa 90 ml")
        '60 ml / 90 ml'
        >>> quantity_conflict("Anessa 60ml", "Anessa 0,06 lít") is None
        True
    """
    return conflict_between(
        read_quantities(first), read_quantities(second), unsaid_is_single=unsaid_is_single
    )


def conflict_between(
    first: frozenset[Quantity], second: frozenset[Quantity], *, unsaid_is_single: bool = True
) -> str | None:
    """Return how two sets of quantities contradict each other, or None; see `quantity_conflict`."""
    left, right = _by_kind(first, unsaid_is_single), _by_kind(second, unsaid_is_single)
    for kind in sorted(left.keys() & right.keys()):
        if not any(_equal(one, other) for one in left[kind] for other in right[kind]):
            return f"{_said(left, kind)} / {_said(right, kind)}"
    for kind, other in (("ml", "g"), ("g", "ml")):
        stated = kind in left and other in right and other not in left and kind not in right
        if stated and not any(_fills(one, two) for one in left[kind] for two in right[other]):
            return f"{_said(left, kind)} / {_said(right, other)}"
    return None


def _said(quantities: dict[str, set[float]], kind: str) -> str:
    return " + ".join(str(Quantity(kind, value)) for value in sorted(quantities[kind]))


def _fills(volume: float, mass: float) -> bool:
    return max(volume, mass) <= _HEAVIEST * min(volume, mass)


def _by_kind(quantities: frozenset[Quantity], unsaid_is_single: bool) -> dict[str, set[float]]:
    grouped: dict[str, set[float]] = defaultdict(set)
    for quantity in quantities:
        grouped[quantity.kind].add(quantity.value)
    if unsaid_is_single and "packs" not in grouped:
        grouped["packs"].add(1.0)
    return grouped


def _equal(first: float, second: float) -> bool:
    # 1 fl oz is printed as 29, 29.5 or 30 ml.
    return abs(first - second) <= 0.02 * max(first, second)


def _plain(text: str) -> str:
    return " ".join(without_accents(text).split())


def _measures(text: str) -> Iterator[Quantity]:
    for number, unit in _MEASURE.findall(text):
        kind, factor = _UNITS[unit]
        value = _value(number) * factor
        if value > 0:
            yield Quantity(kind, round(value, 3))


def _protection(text: str) -> Iterator[Quantity]:
    for number in _SPF.findall(text):
        yield Quantity("spf", _value(number))


def _bundles(text: str) -> Iterator[Quantity]:
    for pattern in (_BUNDLE_BEFORE, _BUNDLE_AFTER, _TIMES_BEFORE, _TIMES_AFTER):
        for number in pattern.findall(text):
            if 1 <= int(number) <= _LARGEST_BUNDLE:
                yield Quantity("packs", float(number))
    if _TWIN.search(text):
        yield Quantity("packs", 2.0)


def _value(number: str) -> float:
    if _THOUSANDS.fullmatch(number):
        return float(re.sub("[.,]", "", number))
    head, *tail = re.split("[.,]", number)
    return float(f"{head}.{''.join(tail)}") if tail else float(head)


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

    Example:
        >>> titles = ["Kem dưỡng da ban ngày Hada Labo 50g", "Kem dưỡng da ban đêm Hada Labo 50g"]
        >>> day, night = read_titles(titles).values()
        >>> contradiction_between(day, night)
        'ngay / dem'
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
    listings_with: Counter[tuple[Words, str]] = Counter()
    for title, codes in numbered.items():
        listings_with.update({(words[title] - codes, code): listings[title] for code in codes})
    return {
        title: frozenset(code for code in codes if listings_with[words[title] - codes, code] < 2)
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

    Example:
        >>> day = frozenset("kem duong da ban ngay hada".split())
        >>> substitution(day, day - {"ngay"} | {"dem"})
        'ngay / dem'
        >>> substitution(day, day | {"freeship"}) is None
        True
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
