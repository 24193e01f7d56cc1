"""What a run of a stage tells of itself: counts, shares and times by name, as people see them.

Every asset has `rows`, `cache_hits`, `cache_misses`, `seconds` and `rows_per_second`, measured in
one place; a stage adds what only it knows.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Fact = int | float | str
# Names are words with underscores. One that ends in `_svg` has the sha256 of a drawing as its fact.
Facts = Mapping[str, Fact]


@dataclass
class CacheCount:
    """How many rows were asked of the caches of a run: `hits` were held, `misses` were computed."""

    hits: int = 0
    misses: int = 0

    def add(self, asked: int, cached: int) -> None:
        """Count rows that were asked for, so many of which were held."""
        self.hits += cached
        self.misses += asked - cached


def measured_facts(rows: int, cache: CacheCount, seconds: float) -> dict[str, Fact]:
    """Return the facts that every asset has; `rows`: those of its result."""
    return {
        "rows": rows,
        "cache_hits": cache.hits,
        "cache_misses": cache.misses,
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds, 1) if seconds else 0.0,
    }


def commonest(texts: Iterable[str], most: int) -> list[tuple[str, int]]:
    """Return at most `most` different texts with how often each comes, the commonest first.

    >>> commonest(["gone", "late", "gone"], 1)
    [('gone', 2)]
    """
    counts = Counter(texts)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def current_name(name: str) -> str:
    """Return what a fact is called now; earlier names were phrases such as "rejected: too small".

    >>> current_name("rejected: too small")
    'rejected_too_small'
    >>> current_name("gemini was not used")
    'gemini_failure'
    """
    phrase = name.removesuffix(" was not used") + " failure" if name.endswith(" used") else name
    return re.sub(r"\W+", "_", phrase)
