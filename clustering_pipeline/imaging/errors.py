"""What is wrong with a picture's bytes."""

from typing import Literal

ImageErrorKind = Literal["not_an_image", "unsupported_format", "truncated", "bomb", "too_small"]


class ImageError(Exception):
    """Bytes that give no usable picture: `kind` for counting, `sentence` for the person who reads the row."""

    def __init__(self, kind: ImageErrorKind, sentence: str) -> None:
        super().__init__(kind, sentence)
        self.kind: ImageErrorKind = kind
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence
