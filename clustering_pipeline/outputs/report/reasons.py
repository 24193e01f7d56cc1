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
    if language == "en" or not reason:
        return reason
    whole = _translated(reason)
    if whole is not None:
        return whole
    return SEPARATOR.join(_translated(part) or part for part in reason.split(SEPARATOR))


def _translated(sentence: str) -> str | None:
    for pattern, translation in _templates():
        found = pattern.fullmatch(sentence)
        if found:
            parts = translation.split(GAP)
            gaps = [*found.groups(), ""]
            return "".join(part + gap for part, gap in zip(parts, gaps, strict=True))
    return None


@cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    lines = files(__package__).joinpath("reasons.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines[1:]]
    return [
        (re.compile("(.+?)".join(map(re.escape, english.split(GAP)))), vietnamese)
        for english, vietnamese in pairs
    ]
