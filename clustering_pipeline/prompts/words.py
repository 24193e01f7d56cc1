"""Vietnamese words compared whatever their capitals, accents and Unicode form."""

import unicodedata


def normal_form(word: str) -> str:
    """Return the word in NFC and lower case, with single spaces."""
    return " ".join(unicodedata.normalize("NFC", word).casefold().split())


def without_accents(word: str) -> str:
    """Return the word's normal form in plain letters: "Hộp Giấy" becomes "hop giay"."""
    decomposed = unicodedata.normalize("NFD", normal_form(word).replace("đ", "d"))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
