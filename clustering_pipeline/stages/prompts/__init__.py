"""From the Vietnamese class words of a category to English detector prompts."""

from clustering_pipeline.stages.prompts.gemini import has_credentials
from clustering_pipeline.stages.prompts.glossary import (
    Entry,
    Prompt,
    Translation,
    Translator,
    from_glossary,
    glossary,
    look_up,
)
from clustering_pipeline.stages.prompts.stage import (
    AUTOMATIC_ORDER,
    TRANSLATORS,
    class_words,
    read_prompts,
    run,
)

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
    "has_credentials",
    "look_up",
    "read_prompts",
    "run",
]
