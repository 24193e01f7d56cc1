"""The sentences that stages give as reasons, in the reader's language."""

import re
from functools import cache
from importlib.resources import files

from clustering_pipeline.outputs.report.i18n import Language

GAP = "{}"
# Reasons of one listing stand beside each other.
SEPARATOR = "; "


def reason_in(reason: str, language: Language) -> str:
    """Return a reason in a language; a sentence that has no translation stays as it is.

    Example:
        >>> reason_in("duplicate of 17: the same picture", "vi")
        'trùng với 17: cùng một ảnh'
    """
    return translated(reason, language, __package__ or "")


def translated(text: str, language: Language, package: str) -> str:
    """Return a text in a language by the sentences in `reasons.tsv` of a package; what has no
    translation stays as it is.
    """
    if language == "en" or not text:
        return text
    whole = _translated(text, package)
    if whole is not None:
        return whole
    parts = text.split(SEPARATOR)
    return SEPARATOR.join(_translated(part, package) or part for part in parts)


def _translated(sentence: str, package: str) -> str | None:
    for pattern, translation in _templates(package):
        match = pattern.fullmatch(sentence)
        if match:
            parts = translation.split(GAP)
            gaps = [*match.groups(), ""]
            return "".join(part + gap for part, gap in zip(parts, gaps, strict=True))
    return None


@cache
def _templates(package: str) -> list[tuple[re.Pattern[str], str]]:
    lines = files(package).joinpath("reasons.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines[1:]]
    return [
        (re.compile("(.+?)".join(map(re.escape, english.split(GAP)))), vietnamese)
        for english, vietnamese in pairs
    ]
