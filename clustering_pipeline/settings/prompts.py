"""Knobs of translating class words to detector prompts."""

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings


class PromptSettings(StageSettings):
    """The class words of a category and who translates them."""

    words: tuple[str, ...] = Field((), description="Vietnamese class words; sensible ones for the category when empty.")
    translator: str = Field(
        "auto", description="Name of the translator in the registry; auto takes the first that answers, the glossary last."
    )
    synonyms: int = Field(4, ge=0, le=20, description="Synonyms kept per word.")
