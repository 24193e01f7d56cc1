"""The prompts stage: class words of a category in, detector prompts out."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from clustering_pipeline.errors import InputError
from clustering_pipeline.manifests import ENGLISH_PROMPTS, conform
from clustering_pipeline.prompts.categories import class_words
from clustering_pipeline.prompts.glossary import Prompt
from clustering_pipeline.prompts.translators import translate
from clustering_pipeline.prompts.words import normal_form
from clustering_pipeline.settings import PromptSettings
from clustering_pipeline.stage import StageContext, StageResult

LONGEST_WORD = 80


def translate_words(display_name: str, settings: PromptSettings, context: StageContext) -> StageResult:
    """Translate the category's class words; manifest ENGLISH_PROMPTS, a row per distinct word.

    `display_name`: the category's name, which chooses the built-in class words when the settings give none.
    Raises InputError when a class word of the settings is empty or longer than 80 characters.
    """
    words = _distinct(settings.words or class_words(display_name))
    with context.progress.track("Translating class words", len(words), "word") as bar:
        translation = translate(words, settings, context)
        bar.advance(len(words))
    counts = Counter(prompt.translator for prompt in translation.prompts)
    by_translator = {f"words translated by {name}": count for name, count in sorted(counts.items())}
    return StageResult(_manifest(translation.prompts), {"words": len(words), **by_translator, **translation.facts})


def read_prompts(english_prompts: pd.DataFrame) -> list[Prompt]:
    """Return the rows of an ENGLISH_PROMPTS manifest."""
    return [
        Prompt(row["word"], row["english"], tuple(row["synonyms"]), row["translator"])
        for row in english_prompts.to_dict("records")
    ]


def _distinct(words: Sequence[str]) -> list[str]:
    for word in words:
        if not word.strip() or len(word) > LONGEST_WORD:
            raise InputError(
                f"The setting prompts.words holds {word[:LONGEST_WORD]!r}; a class word has 1 to {LONGEST_WORD} characters, "
                "such as hộp, gói or chai. Correct the word in the settings file."
            )
    return list({normal_form(word): " ".join(word.split()) for word in reversed(words)}.values())[::-1]


def _manifest(prompts: Sequence[Prompt]) -> pd.DataFrame:
    frame = pd.DataFrame(
        [(prompt.word, prompt.english, list(prompt.synonyms), prompt.translator) for prompt in prompts],
        columns=ENGLISH_PROMPTS.schema.names,
    )
    return conform(frame, ENGLISH_PROMPTS)
