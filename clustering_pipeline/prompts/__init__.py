"""From the Vietnamese class words of a category to English detector prompts."""

from clustering_pipeline.prompts.categories import class_words
from clustering_pipeline.prompts.glossary import Entry, Prompt, from_glossary, glossary, look_up
from clustering_pipeline.prompts.stage import read_prompts, translate_words
from clustering_pipeline.prompts.translation import Translation, Translator
from clustering_pipeline.prompts.translators import AUTOMATIC_ORDER, TRANSLATORS
from clustering_pipeline.prompts.words import normal_form, without_accents

__all__ = [
    "AUTOMATIC_ORDER",
    "TRANSLATORS",
    "Entry",
    "Prompt",
    "Translation",
    "Translator",
    "class_words",
    "from_glossary",
    "glossary",
    "look_up",
    "normal_form",
    "read_prompts",
    "translate_words",
    "without_accents",
]
