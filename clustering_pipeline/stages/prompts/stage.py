"""The prompts stage: class words of a category in, detector prompts out; the translators by name,
and the hand-over from one to the next.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import pandas as pd

from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.core.manifests import ENGLISH_PROMPTS, conform
from clustering_pipeline.core.progress import Fact
from clustering_pipeline.core.text import normal_form, without_accents
from clustering_pipeline.settings import PromptSettings
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.stages.prompts.gemini import GeminiTranslator
from clustering_pipeline.stages.prompts.glossary import (
    Prompt,
    Translation,
    Translator,
    from_glossary,
)


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


DEFAULT_WORDS = ("hộp", "gói", "chai", "lọ", "tuýp", "túi", "lon")

# The first entry whose phrase occurs in the category's name, as whole words without accents, gives
# its class words.
_WORDS_BY_PHRASE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("xit chong nang", ("chai xịt", "bình xịt", "chai", "hộp")),
    ("kem chong nang", ("tuýp", "chai", "hộp", "lọ")),
    ("chong nang", ("tuýp", "chai", "hộp", "lọ")),
    ("sua rua mat", ("tuýp", "chai", "hộp")),
    ("rua mat", ("tuýp", "chai", "hộp")),
    ("tay trang", ("chai", "hũ", "hộp")),
    ("nuoc hoa hong", ("chai", "hộp")),
    ("toner", ("chai", "hộp")),
    ("nuoc hoa", ("chai xịt", "chai thủy tinh", "hộp")),
    ("serum", ("chai nhỏ giọt", "lọ", "hộp")),
    ("tinh chat", ("chai nhỏ giọt", "lọ", "hộp")),
    ("mat na", ("gói", "hộp", "hũ", "tuýp")),
    ("kem duong", ("hũ", "tuýp", "chai", "hộp")),
    ("duong the", ("chai", "hũ", "tuýp")),
    ("kem danh rang", ("tuýp", "hộp")),
    ("son", ("thỏi", "hộp", "tuýp")),
    ("phan", ("hộp", "hũ")),
    ("dau goi", ("chai", "gói", "túi")),
    ("dau xa", ("chai", "tuýp", "gói")),
    ("sua tam", ("chai", "túi")),
    ("nuoc giat", ("chai", "túi", "can")),
    ("nuoc xa", ("chai", "túi", "can")),
    ("bot giat", ("túi", "hộp", "gói")),
    ("nuoc rua", ("chai", "can", "túi")),
    ("sua bot", ("lon", "hộp", "gói")),
    ("sua", ("hộp", "chai", "lốc", "gói")),
    ("nuoc mam", ("chai", "can")),
    ("nuoc ngot", ("lon", "chai", "lốc")),
    ("nuoc", ("chai", "lon", "hộp", "bình")),
    ("bia", ("lon", "chai", "thùng")),
    ("ruou", ("chai thủy tinh", "hộp")),
    ("ca phe", ("gói", "hộp", "hũ", "túi")),
    ("tra", ("hộp", "gói", "túi", "hũ")),
    ("mi", ("gói", "ly", "thùng")),
    ("banh", ("hộp", "gói", "túi")),
    ("keo", ("gói", "túi", "hộp", "hũ")),
    ("gia vi", ("gói", "chai", "hũ", "lọ")),
    ("gao", ("bao", "túi")),
    ("dau an", ("chai", "can")),
    ("vitamin", ("lọ", "hộp", "vỉ")),
    ("thuc pham chuc nang", ("lọ", "hộp", "gói")),
    ("thuoc", ("hộp", "vỉ", "lọ", "tuýp")),
    ("ta", ("túi", "gói")),
    ("bim", ("túi", "gói")),
    ("khan giay", ("gói", "hộp", "cuộn")),
    ("ao", ("áo", "áo khoác")),
    ("quan", ("quần",)),
    ("vay", ("váy",)),
    ("giay", ("giày", "dép")),
    ("tui xach", ("túi xách", "ba lô", "ví")),
    ("dien thoai", ("điện thoại", "hộp")),
    ("tai nghe", ("tai nghe", "hộp")),
)


def class_words(display_name: str) -> tuple[str, ...]:
    """Return the class words that fit a category's display name or slug; packaging in general when
    none is known.

    Example:
        >>> class_words("Dầu gội")
        ('chai', 'gói', 'túi')
    """
    name = f" {without_accents(normal_form(display_name)).replace('-', ' ')} "
    return next(
        (words for phrase, words in _WORDS_BY_PHRASE if f" {phrase} " in name), DEFAULT_WORDS
    )


def run(*, settings: PromptSettings, context: StageContext) -> StageResult:
    """Translate the category's class words; manifest ENGLISH_PROMPTS, a row per distinct word.

    The category's slug chooses the built-in class words when the settings give none.
    """
    words = _distinct(settings.words or class_words(context.category))
    with context.progress.track("Translating class words", len(words), "word") as bar:
        translation = translate(words, settings, context)
        bar.advance(len(words))
    counts = Counter(prompt.translator for prompt in translation.prompts)
    by_translator = {f"words_translated_by_{name}": count for name, count in sorted(counts.items())}
    return StageResult(
        _manifest(translation.prompts), {"words": len(words), **by_translator, **translation.facts}
    )


def read_prompts(english_prompts: pd.DataFrame) -> list[Prompt]:
    """Return the rows of an ENGLISH_PROMPTS manifest."""
    return [
        Prompt(row["word"], row["english"], tuple(row["synonyms"]), row["translator"])
        for row in english_prompts.to_dict("records")
    ]


def _distinct(words: Sequence[str]) -> list[str]:
    return list({normal_form(word): " ".join(word.split()) for word in reversed(words)}.values())[
        ::-1
    ]


def _manifest(prompts: Sequence[Prompt]) -> pd.DataFrame:
    frame = pd.DataFrame(
        [
            (prompt.word, prompt.english, list(prompt.synonyms), prompt.translator)
            for prompt in prompts
        ],
        columns=ENGLISH_PROMPTS.schema.names,
    )
    return conform(frame, ENGLISH_PROMPTS)
