"""From the Vietnamese class words of a category to English detector prompts."""

from clustering_pipeline.prompts.categories import class_words
from clustering_pipeline.prompts.glossary import Entry, GlossaryTranslator, Prompt, glossary, look_up
from clustering_pipeline.prompts.stage import read_prompts, translate_words
from clustering_pipeline.prompts.words import normal_form, without_accents

__all__ = [
    "Entry",
    "GlossaryTranslator",
    "Prompt",
    "class_words",
    "glossary",
    "look_up",
    "normal_form",
    "read_prompts",
    "translate_words",
    "without_accents",
]
