"""Knobs of translating class words to detector prompts."""

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings, performance_field


class PromptSettings(StageSettings):
    """The class words of a category and who translates them."""

    words: tuple[str, ...] = Field((), description="Vietnamese class words; sensible ones for the category when empty.")
    translator: str = Field(
        "auto", description="Name of the translator in the registry; auto takes the first that answers, the glossary last."
    )
    synonyms: int = Field(4, ge=0, le=20, description="Synonyms kept per word.")
    gemini_model: str = Field("gemini-2.5-flash", min_length=1, description="Gemini model that translates.")
    gemini_timeout: float = performance_field(30.0, "Seconds that one request to Gemini may take.", gt=0, le=600)
    gemini_attempts: int = performance_field(3, "Requests made before a failing or unusable answer counts.", ge=1, le=10)
    gemini_retry_delay: float = performance_field(
        1.0, "Seconds before the first repeated request; doubled each time.", ge=0, le=60
    )
    gemini_input_price: float = performance_field(0.30, "US dollars per million tokens sent, for the cost shown.", ge=0)
    gemini_output_price: float = performance_field(2.50, "US dollars per million tokens received, for the cost shown.", ge=0)
