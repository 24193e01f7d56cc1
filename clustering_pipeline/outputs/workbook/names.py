"""A name for every cluster that has none from a person."""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

WORD = re.compile(r"[\w%+.,/&'-]*\w[\w%+]*")
BRACKETED = re.compile(r"[\[(【{][^\])】}]*[\])】}]")
# A word is part of the name when more than this share of a cluster's titles, or of its packs, have
# it.
SHARED = 0.5
MAX_CHARACTERS = 80
# Shorter words read on packs are mostly fragments; more of them than this make no name.
SHORTEST_READ, MOST_READ = 3, 4
SELLING_WORDS: list[str] = tomllib.loads(
    (Path(__file__).parent / "selling_words.toml").read_text(encoding="utf-8")
)["phrases"]
SELLING = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, SELLING_WORDS))})(?!\w)", re.IGNORECASE)


def suggest_names(
    catalogue: pd.DataFrame,
    clusters: pd.DataFrame,
    pack_texts: Mapping[str, Sequence[str]] | None = None,
    category_name: str = "",
) -> dict[int, str]:
    """Return a name for each cluster number: the words that most titles of its listings share.

    Where there are no titles, the words that most packs share, else those of two packs, else the
    largest line on any; `pack_texts`: crop to the lines read on it, the largest of its print. Where
    there is no text either, the category's name.
    """
    clustered = clusters[clusters["status"] == "clustered"].merge(
        catalogue[["listing", "title"]], on="listing"
    )
    texts = pack_texts or {}
    names = {}
    for number, group in clustered.groupby("cluster_id", sort=True):
        titles = [str(title) for title in group["title"].dropna()]
        packs = [texts[crop] for crop in group["crop_sha256"].dropna() if texts.get(crop)]
        names[int(str(number))] = common_words(titles) or pack_name(packs) or category_name
    return {number: name for number, name in names.items() if name}


def common_words(titles: Sequence[str]) -> str:
    """Return the words that more than half of the titles share, as they stand in the plainest of
    those that share most.

    What sellers say about the offer instead of the product is left out; "" when nothing is shared.
    """
    split = [WORD.findall(SELLING.sub(" ", BRACKETED.sub(" ", title))) for title in titles]
    counts = Counter(word for words in split for word in {word.casefold() for word in words})
    shared = {word for word, count in counts.items() if count > SHARED * len(titles)}
    candidates = [[word for word in words if word.casefold() in shared] for words in split]
    best = min(candidates, key=_plainness, default=[])
    return " ".join(best)[:MAX_CHARACTERS].strip()


def pack_name(packs: Sequence[Sequence[str]]) -> str:
    """Return what the packs of one cluster, each as its lines, agree to be called; "" when nothing
    was read.

    Reading errs, and not every pack is read: what two packs have in common is taken where most have
    nothing in common.
    """
    whole = [" ".join(lines) for lines in packs]
    longest = max((line for lines in packs for line in lines), key=len, default="")
    return _each_once(common_words(whole)) or _words_of_two(whole) or longest[:MAX_CHARACTERS]


def _words_of_two(texts: Sequence[str]) -> str:
    found = [
        {word.casefold(): word for word in WORD.findall(text) if len(word) >= SHORTEST_READ}
        for text in texts
    ]
    counts = Counter(word for words in found for word in words)
    first_seen = {word: spelled for words in reversed(found) for word, spelled in words.items()}
    shared = [first_seen[word] for word, count in counts.most_common() if count > 1]
    return " ".join(shared[:MOST_READ])


def _each_once(name: str) -> str:
    return " ".join({word.casefold(): word for word in name.split()}.values())


def _plainness(words: list[str]) -> tuple[int, int, int, list[str]]:
    """Order titles: most different words first, then those that do not shout, then the shortest."""
    different = len({word.casefold() for word in words})
    return -different, sum(word.isupper() and len(word) > 3 for word in words), len(words), words
