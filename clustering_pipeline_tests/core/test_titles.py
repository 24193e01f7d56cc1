import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.core.titles import (
    Quantity,
    contradiction_between,
    quantity_conflict,
    read_quantities,
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


@pytest.mark.parametrize(
    ("first", "second", "conflict"),
    [
        ("Kem chống nắng 50ml", "KEM CHỐNG NẮNG 100 ML", "50 ml / 100 ml"),
        ("SPF30 PA++", "spf 50+ pa++++", "SPF 30 / SPF 50"),
        ("Combo 2 sữa rửa mặt", "Sữa rửa mặt", "2 packs / 1 pack"),
        ("Lốc 4 hộp sữa 180ml", "sữa hộp 180ml x4", None),
        ("Nước 1,5L", "nước 1.500 ml", None),
        ("Serum 10%", "serum 5 %", "10% / 5%"),
        ("Sữa rửa mặt 150g", "Sữa rửa mặt", None),
        ("Twin pack 50ml", "50ml", "2 packs / 1 pack"),
        ("Hộp 20 gói", "hộp 10 gói", "20 pieces / 10 pieces"),
        ("Trà gừng 20 túi", "trà gừng 50 túi", "20 pieces / 50 pieces"),
        ("Dầu gội 650ml", "Bột giặt 400 g", "650 ml / 400 g"),
        ("Kem dưỡng 50 g", "kem dưỡng 100ml", "50 g / 100 ml"),
        ("Kem dưỡng 50ml", "kem dưỡng 50g", None),
        ("Kem 100 ml (95 g)", "kem 400g", "95 g / 400 g"),
        ("(Mã giảm 10%) Serum vitamin C 5%", "Serum vitamin C 5% -30%", None),
        ("Hàng chính hãng 100% cồn 70%", "Giảm giá đến 50% cồn 70%", None),
    ],
)
def test_titles_that_contradict_each_other_in_number(first, second, conflict):
    assert quantity_conflict(first, second) == conflict


def test_print_leaves_open_how_many_packs_there_are():
    assert quantity_conflict("Combo 2 50ml", "50ml", unsaid_is_single=False) is None


def test_units_are_brought_to_one_base():
    assert (
        read_quantities("0.5 L") == read_quantities("500ml") == frozenset({Quantity("ml", 500.0)})
    )


def test_the_sign_of_estimated_contents_belongs_to_the_unit():
    assert read_quantities("200 mle 6.7 FL.OZ.") == read_quantities("200 ml ℮ 6.7 fl oz")
    assert read_quantities("50ge") == frozenset({Quantity("g", 50.0)})


def test_decomposed_letters_read_like_composed_ones():
    assert read_quantities("lo\u0302\u0301c 4 lít") == read_quantities("lốc 4 lít")


def test_ounces_and_their_rounded_millilitres_agree():
    assert quantity_conflict("1 fl oz", "30 ml") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "serum b5",
        "model x100",
        "2024-05-01",
        "ml",
        "0 ml",
        "-50%",
        "sale 30%",
        "20% OFF",
        "100% cotton",
    ],
)
def test_numbers_without_a_meaning_are_left_alone(text):
    assert not read_quantities(text)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_read_and_conflicts_do_not_depend_on_the_side(first, second):
    assert (quantity_conflict(first, second) is None) == (quantity_conflict(second, first) is None)
    assert quantity_conflict(first, first) is None
