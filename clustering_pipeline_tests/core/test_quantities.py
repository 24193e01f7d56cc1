import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.core.quantities import Quantity, quantity_conflict, read_quantities


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
