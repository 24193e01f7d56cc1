"""Who turns class words into prompts: the registry, and the hand-over from one translator to the
next.
"""

from collections.abc import Callable, Sequence

from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.core.facts import Fact
from clustering_pipeline.settings import PromptSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.prompts.gemini import GeminiTranslator
from clustering_pipeline.stages.prompts.glossary import Translation, Translator, from_glossary


class GlossaryTranslator:
    """Translates by the built-in glossary; a word that it lacks stands for itself."""

    name = "glossary"

    def __init__(self, settings: PromptSettings) -> None:
        self.synonyms = settings.synonyms

    def translate(self, words: Sequence[str], _context: StageContext) -> Translation:
        """Return one prompt per word, in order; it always answers."""
        return Translation(tuple(from_glossary(word, self.synonyms) for word in words))


TRANSLATORS: dict[str, Callable[[PromptSettings], Translator]] = {
    "gemini": GeminiTranslator,
    "glossary": GlossaryTranslator,
}
# The last one always answers.
AUTOMATIC_ORDER: tuple[str, ...] = ("gemini", "glossary")


def translate(words: Sequence[str], settings: PromptSettings, context: StageContext) -> Translation:
    """Return the prompts of `words` from the translator that the settings name.

    With `auto` a translator that fails hands over to the next, and the facts say why. Raises
    PipelineError when the one that was named cannot answer.
    """
    if settings.translator != "auto":
        return TRANSLATORS[settings.translator](settings).translate(words, context)
    failures: dict[str, Fact] = {}
    for name in AUTOMATIC_ORDER[:-1]:
        try:
            translation = TRANSLATORS[name](settings).translate(words, context)
        except PipelineError as error:
            failures[f"{name}_failure"] = str(error)
        else:
            return Translation(translation.prompts, {**failures, **translation.facts})
    last = TRANSLATORS[AUTOMATIC_ORDER[-1]](settings).translate(words, context)
    return Translation(last.prompts, {**failures, **last.facts})
