"""What a translator is asked and what it answers, and the built-in Vietnamese–English glossary of
packaging and products.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Protocol

from clustering_pipeline.core.progress import Facts
from clustering_pipeline.core.text import normal_form, without_accents
from clustering_pipeline.stages.contract import StageContext


@dataclass(frozen=True)
class Prompt:
    """What a detector is asked for: a class word of the category, its English noun, synonyms, and
    who translated it.
    """

    word: str
    english: str
    synonyms: tuple[str, ...]
    translator: str


@dataclass(frozen=True)
class Entry:
    """A glossary line: the Vietnamese word, its English noun, and nouns that a detector may know
    better.
    """

    word: str
    english: str
    synonyms: tuple[str, ...]


@cache
def glossary() -> tuple[Entry, ...]:
    """Return the lines of `glossary.tsv` in their order."""
    content = files(__package__).joinpath("glossary.tsv").read_text(encoding="utf-8")
    rows = csv.DictReader(io.StringIO(content), delimiter="\t")
    return tuple(
        Entry(row["word"], row["english"], tuple(row["synonyms"].split(", "))) for row in rows
    )


def look_up(word: str) -> Entry | None:
    """Return the glossary's entry for a word, compared with its accents first and without them
    second.
    """
    exact, plain = _index()
    return exact.get(normal_form(word)) or plain.get(without_accents(normal_form(word)))


@cache
def _index() -> tuple[dict[str, Entry], dict[str, Entry]]:
    backwards = tuple(reversed(glossary()))
    return {normal_form(entry.word): entry for entry in backwards}, {
        without_accents(normal_form(entry.word)): entry for entry in backwards
    }


def from_glossary(word: str, synonyms: int) -> Prompt:
    """Return the glossary's prompt for a word, with at most `synonyms` synonyms; a word that it
    lacks stands for itself.

    Example:
        >>> from_glossary("Chai", synonyms=1)
        Prompt(word='Chai', english='bottle', synonyms=('plastic bottle',), translator='glossary')
    """
    entry = look_up(word)
    if entry is None:
        return Prompt(word, normal_form(word), (), "word itself")
    return Prompt(word, entry.english, entry.synonyms[:synonyms], "glossary")


@dataclass(frozen=True)
class Translation:
    """One prompt per word, in the words' order, and what the translation cost."""

    prompts: tuple[Prompt, ...]
    facts: Facts = field(default_factory=dict)


class Translator(Protocol):
    """Translates class words; its constructor takes the settings and does nothing heavy."""

    name: str

    def translate(self, words: Sequence[str], context: StageContext, /) -> Translation:
        """Return one prompt per word, in order; raises PipelineError when it cannot answer."""
