"""A name for every cluster that has none from a person."""

import re
from collections import Counter

import pandas as pd

WORD = re.compile(r"[\w%+.,/-]*\w[\w%+]*")
# Words of a title that more than this share of a cluster's titles have are its name.
SHARED = 0.5
MAX_CHARACTERS = 80


def suggest_names(catalogue: pd.DataFrame, clusters: pd.DataFrame) -> dict[int, str]:
    """Return a name for each cluster number: the words that most of its listings' titles share, in the order of the title
    that has most of them. A cluster without titles has no name.
    """
    titled = clusters[clusters["status"] == "clustered"].merge(catalogue[["listing", "title"]], on="listing")
    titled = titled[titled["title"].notna()]
    groups = titled.astype({"cluster_id": "int64"}).groupby("cluster_id")["title"].agg(list).to_dict()
    names = {int(str(number)): common_words(titles) for number, titles in groups.items()}
    return {number: name for number, name in names.items() if name}


def common_words(titles: list[str]) -> str:
    """Return the words that more than half of the titles have, as they stand in the title that shares most; "" when none are."""
    split = [WORD.findall(title) for title in titles]
    counts = Counter(word for words in split for word in {word.casefold() for word in words})
    shared = {word for word, count in counts.items() if count > SHARED * len(titles)}
    best = min(split, key=lambda words: (-len(shared & {word.casefold() for word in words}), len(words), words))
    return " ".join(word for word in best if word.casefold() in shared)[:MAX_CHARACTERS].strip()
