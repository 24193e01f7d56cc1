import pytest

from clustering_pipeline.core.titles import (
    contradiction_between,
    read_titles,
    shop_words,
    substitution,
)


def words(title):
    return frozenset(title.split())


@pytest.mark.parametrize(
    ("first", "second", "contradiction"),
    [
        (
            "kem duong lumora sunny leaf ban ngay",
            "kem duong lumora sunny leaf ban dem",
            "ngay / dem",
        ),
        (
            "mat na greenko silk touch mat ong",
            "mat na greenko silk touch ngoc trai",
            "ong / ngoc trai",
        ),
        ("kem duong lumora sunny leaf", "kem duong lumora sunny leaf freeship", None),
        ("kem duong lumora sunny leaf", "kem duong lumora suny leaf", None),
        ("kem lumora", "serum lumora", None),
    ],
)
def test_titles_that_replace_a_word(first, second, contradiction):
    assert substitution(words(first), words(second)) == contradiction


def test_titles_of_other_shops_differ_in_more_than_a_word():
    first = words("kem duong lumora sunny leaf chinh hang gia re")
    assert substitution(first, words("kem duong lumora sunny leaf nhap khau cao cap tu my")) is None


def test_shop_words_are_added_to_several_products_and_replace_nothing():
    brands = ("lumora gold", "oriva snow", "tenko blue")
    titles = [
        words(f"kem duong {brand} {variant}") for brand in brands for variant in ("ngay", "dem")
    ]
    hot = [title | {"hot", "moi"} for title in titles]
    assert shop_words(titles + hot) == {"hot", "moi"}


def test_a_word_that_one_product_has_more_is_no_shop_word():
    titles = [words("vicks nyquil cold and flu"), words("vicks nyquil cold and flu cough")]
    assert shop_words(titles + [title | {"hot"} for title in titles]) == frozenset()


def test_titles_are_read_without_quantities_and_shop_words():
    brands = ("Lumora Gold", "Oriva Snow", "Tenko Blue")
    titles = [
        f"{before}Kem dưỡng {brand} ban ngày 50ml" for brand in brands for before in ("", "HOT - ")
    ]
    said = read_titles(titles)
    assert said[titles[0]] == said[titles[1]]
    assert said[titles[0]].words == words("kem duong lumora gold ban ngay")
    other = read_titles([*titles, "Kem dưỡng Lumora Gold ban ngày 100 ml"])[
        "Kem dưỡng Lumora Gold ban ngày 100 ml"
    ]
    assert contradiction_between(said[titles[1]], other) == "50 ml / 100 ml"


def test_a_shops_own_codes_say_nothing():
    first, second = (f"Kem dưỡng Lumora Gold {code}" for code in ("#3 MS1234", "#2 MS 77"))
    said = read_titles([first, second])
    assert contradiction_between(said[first], said[second]) is None


def test_a_number_that_several_listings_have_names_the_product():
    first, second = (f"Điện thoại Samsung Galaxy {model} chính hãng" for model in ("M12", "M22"))
    said = read_titles([first, first.upper(), second, f"HOT {second}"])
    assert contradiction_between(said[first], said[second]) == "m12 / m22"


@pytest.mark.parametrize(
    "phrases", [("Freeship", "Giá tốt"), ("[CHÍNH HÃNG]", "hàng có sẵn"), ("HOT DEAL", "mẫu mới")]
)
def test_what_each_shop_puts_into_all_its_titles_contradicts_nothing(phrases):
    first, second = (f"Kem dưỡng Lumora Gold ban ngày {phrase}" for phrase in phrases)
    said = read_titles([first, second])
    assert contradiction_between(said[first], said[second]) is None
    assert said[first].words == words("kem duong lumora gold ban ngay")
