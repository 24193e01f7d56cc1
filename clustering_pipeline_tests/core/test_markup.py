import re

import pytest

from clustering_pipeline.core.markup import canvas, circle, draw, element, polyline, unbroken


def test_text_and_attributes_are_escaped_once():
    drawn = element("text", 'a < b & "c"', element("title", "<&>"), fill='"')
    assert (
        str(drawn)
        == '<text fill="&quot;">a &lt; b &amp; &quot;c&quot;<title>&lt;&amp;&gt;</title></text>'
    )


def test_an_element_without_children_closes_itself():
    assert str(circle(1, 2.04, 3, fill="none")) == '<circle cx="1.0" cy="2.0" r="3" fill="none"/>'
    assert (
        str(polyline([(1, 2), (3, 4)], stroke="#000"))
        == '<polyline points="1.0,2.0 3.0,4.0" fill="none" stroke="#000"/>'
    )


def test_a_drawing_stands_on_white():
    first, second, *_ = draw(10, 20, [], font_size=9).split("\n")
    assert first == canvas(10, 20, font_size=9).opening
    assert second == '<rect width="100%" height="100%" fill="white"/>'


@pytest.mark.parametrize(
    ("name", "together"),
    [
        ("Nước tẩy trang 1,5 L", ["1,5 L"]),
        ("Kem SPF 50 lọ 30 g <b>", ["SPF 50", "30 g"]),
        ("Dove 298g, 2 gift sets", []),
        ("", []),
    ],
)
def test_no_line_ends_between_a_number_and_its_unit(name, together):
    page = unbroken(name)
    assert re.findall('<span class="whole">(.*?)</span>', page) == together
    assert page.striptags() == name.replace("<b>", "").strip() or "&lt;b&gt;" in page
