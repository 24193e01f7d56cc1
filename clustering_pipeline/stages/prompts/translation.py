"""What a translator is asked and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.prompts.glossary import Prompt


@dataclass(frozen=True)
class Translation:
    """One prompt per word, in the words' order, and what the translation cost."""

    prompts: tuple[Prompt, ...]
    facts: Mapping[str, int | float | str] = field(default_factory=dict)


class Translator(Protocol):
    """Translates class words; its constructor takes the settings and does nothing heavy."""

    name: str

    def translate(self, words: Sequence[str], context: StageContext) -> Translation:
        """Return one prompt per word, in order; raises PipelineError when it cannot answer."""
