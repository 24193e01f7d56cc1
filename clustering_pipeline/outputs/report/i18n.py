"""The words of the pages, in English and Vietnamese."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

Language = Literal["en", "vi"]

# Each entry: English, Vietnamese.
Words = Mapping[str, tuple[str, str]]


@cache
def read_words(package: str) -> Words:
    """Return the words in the file `words.tsv` of a package: a key, English and Vietnamese a
    line.
    """
    lines = files(package).joinpath("words.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return {
        key: (english, vietnamese)
        for key, english, vietnamese in (line.split("\t") for line in lines)
    }


class Texts:
    """Looks up words and writes numbers in one language."""

    def __init__(self, language: Language, more: Words | None = None) -> None:
        """`more`: words besides those of the report."""
        self.language = language
        self._column = ("en", "vi").index(language)
        self._words = {**read_words("clustering_pipeline.outputs.report"), **(more or {})}

    def __getitem__(self, key: str) -> str:
        return self._words[key][self._column]

    def of(self, prefix: str) -> dict[str, str]:
        """Return the words whose keys begin with a prefix, by the rest of their keys."""
        return {
            key.removeprefix(prefix): words[self._column]
            for key, words in self._words.items()
            if key.startswith(prefix)
        }

    def number(self, value: float) -> str:
        """Return an integer with thousands separated the way the language does."""
        text = f"{round(value):,}"
        return text.replace(",", ".") if self.language == "vi" else text

    def share(self, value: float) -> str:
        """Return a share of 1 as a percentage."""
        text = f"{100 * value:.0f}" if value >= 0.1 or value == 0 else f"{100 * value:.1f}"
        return f"{text.replace('.', ',')} %" if self.language == "vi" else f"{text}%"
