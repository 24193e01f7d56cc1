"""The Gemini models that are known by name: their prices, and how little they can be told to
think.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

# What Google recommends in the place of gemini-2.5-flash, and sends its requests to from December
# 2026 on.
DEFAULT_GEMINI_MODEL = "gemini-3.5-flash-lite"


@dataclass(frozen=True)
class GeminiModel:
    """One model of the Gemini API.

    Prices are US dollars per million tokens, as ai.google.dev/gemini-api/docs/pricing had them in
    November 2026; thoughts cost as much as the answer. `thinking` is the least level that the model
    takes, or for the models before Gemini 3 the least budget in tokens, 0 for none. From
    `doubles_on` both prices double, from `ends_on` the provider may answer with another model.
    """

    name: str
    input_price: float
    output_price: float
    thinking: str | int
    doubles_on: date | None = None
    ends_on: date | None = None

    def prices(self, day: date) -> tuple[float, float]:
        """Return what a million tokens of question and of answer cost on a day, in US dollars."""
        factor = 2 if self.doubles_on and day >= self.doubles_on else 1
        return self.input_price * factor, self.output_price * factor

    def least_thinking(self) -> dict[str, Any]:
        """Return the fields of the client's thinking configuration."""
        if isinstance(self.thinking, int):
            return {"thinking_budget": self.thinking}
        return {"thinking_level": self.thinking}


_NEW_YEAR = date(2027, 1, 1)
_END_OF_2_5 = date(2026, 12, 1)
GEMINI_MODELS: dict[str, GeminiModel] = {
    model.name: model
    for model in (
        GeminiModel(DEFAULT_GEMINI_MODEL, 0.30, 2.50, "MINIMAL"),
        GeminiModel("gemini-3.1-flash-lite", 0.25, 1.50, "MINIMAL"),
        GeminiModel("gemini-3.8-flash", 0.75, 3.75, "LOW", doubles_on=_NEW_YEAR),
        GeminiModel("gemini-3.6-flash", 0.75, 3.75, "MINIMAL", doubles_on=_NEW_YEAR),
        GeminiModel("gemini-2.5-flash-lite", 0.10, 0.40, 0),
        GeminiModel("gemini-2.5-flash", 0.30, 2.50, 0, ends_on=_END_OF_2_5),
        GeminiModel("gemini-2.5-pro", 1.25, 10.00, 128, ends_on=_END_OF_2_5),
    )
}


def find_gemini_model(name: str) -> GeminiModel | None:
    """Return the model of a name, or of the name before a version (`-001`, `-preview-09-2026`);
    None for one that is not known.
    """
    plain = name.rpartition("/")[2]
    known = [model for model in GEMINI_MODELS.values() if _is_version(plain, model.name)]
    return max(known, key=lambda model: len(model.name), default=None)


def _is_version(name: str, model: str) -> bool:
    version = name.removeprefix(model)
    return name == model or (
        name.startswith(model) and version.startswith(("-preview", "-latest", "-0"))
    )
