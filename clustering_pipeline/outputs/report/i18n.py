"""The words of the pages, and the sentences that stages give as reasons, in English and
Vietnamese.
"""

import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Literal

Language = Literal["en", "vi"]

# Each entry: English, Vietnamese.
Words = Mapping[str, tuple[str, str]]
GAP = "{}"
# Reasons of one listing stand beside each other.
SEPARATOR = "; "


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

    def counted(self, count: int, key: str) -> str:
        """Return how many there are of something, "1 line" or "2 lines"; `key` is that of several,
        with `_one` that of one.
        """
        return f"{self.number(count)} {self[f'{key}_one' if count == 1 else key]}"

    def share(self, value: float) -> str:
        """Return a share of 1 as a percentage."""
        text = f"{100 * value:.0f}" if value >= 0.1 or value == 0 else f"{100 * value:.1f}"
        return f"{text.replace('.', ',')} %" if self.language == "vi" else f"{text}%"

    def day(self, iso: str) -> str:
        """Return an ISO date as readers of the language write it: "28 November 2026" or
        "28/11/2026".
        """
        day = date.fromisoformat(iso)
        return f"{day:%d/%m/%Y}" if self.language == "vi" else f"{day.day} {day:%B %Y}"


def reason_in(reason: str, language: Language) -> str:
    """Return a reason in a language; a sentence that has no translation stays as it is.

    Example:
        >>> reason_in("duplicate of 17: the same picture", "vi")
        'trùng với 17: cùng một ảnh'
    """
    return translated(reason, language, __package__ or "")


def translated(text: str, language: Language, package: str) -> str:
    """Return a text in a language by the sentences in `reasons.tsv` of a package; what has no
    translation stays as it is.
    """
    if language == "en" or not text:
        return text
    whole = _translated(text, package)
    if whole is not None:
        return whole
    parts = text.split(SEPARATOR)
    return SEPARATOR.join(_translated(part, package) or part for part in parts)


def _translated(sentence: str, package: str) -> str | None:
    for pattern, translation in _templates(package):
        match = pattern.fullmatch(sentence)
        if match:
            parts = translation.split(GAP)
            gaps = [*match.groups(), ""]
            return "".join(part + gap for part, gap in zip(parts, gaps, strict=True))
    return None


@cache
def _templates(package: str) -> list[tuple[re.Pattern[str], str]]:
    lines = files(package).joinpath("reasons.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines[1:]]
    return [
        (re.compile("(.+?)".join(map(re.escape, english.split(GAP)))), vietnamese)
        for english, vietnamese in pairs
    ]
