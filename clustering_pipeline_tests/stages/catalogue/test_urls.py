"""URL cells as people fill them."""

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from yarl import URL

from clustering_pipeline.stages.catalogue.addresses import parse_url_cell


@pytest.mark.parametrize(
    ("cell", "url"),
    [
        ("https://a.vn/1.jpg", "https://a.vn/1.jpg"),
        ("//cdn.a.vn/1.jpg", "https://cdn.a.vn/1.jpg"),
        ("cf.shopee.vn/file/abc_tn", "https://cf.shopee.vn/file/abc_tn"),
        ("HTTP://A.vn:8080/1.jpg", "http://a.vn:8080/1.jpg"),
        (
            "  https://a.vn/ảnh sản phẩm.jpg ",
            "https://a.vn/%E1%BA%A3nh%20s%E1%BA%A3n%20ph%E1%BA%A9m.jpg",
        ),
        ("https://a.vn/%E1%BA%A3nh.jpg?x=1%202", "https://a.vn/%E1%BA%A3nh.jpg?x=1%202"),
        ("https://bücher.example/x.jpg", "https://xn--bcher-kva.example/x.jpg"),
        ("https:\\/\\/a.vn\\/1.jpg", "https://a.vn/1.jpg"),
        ('"https://a.vn/1.jpg"', "https://a.vn/1.jpg"),
        ("https:/a.vn/1.jpg", "https://a.vn/1.jpg"),
        ("https://a.vn/w_100,h_200/1.jpg", "https://a.vn/w_100,h_200/1.jpg"),
        ("https://[2001:db8::1]/1.jpg", "https://[2001:db8::1]/1.jpg"),
        ("https://a.vn/anh(1)", "https://a.vn/anh(1)"),
        ("<https://a.vn/1.jpg>", "https://a.vn/1.jpg"),
        ("\ufeffhttps://a.vn/1.jpg\u200b", "https://a.vn/1.jpg"),
    ],
)
def test_one_address(cell, url):
    assert parse_url_cell(cell).urls == (url,)


TWO = ("https://a.vn/1.jpg", "https://b.vn/2.jpg")


@pytest.mark.parametrize(
    "cell",
    [
        "\n".join(TWO),
        "\r\n\r\n".join(TWO),
        ",".join(TWO),
        ", ".join(TWO),
        "; ".join(TWO),
        " | ".join(TWO),
        " ".join(TWO),
        json.dumps(TWO),
        json.dumps(TWO).replace("/", "\\/"),
        json.dumps([{"url": TWO[0]}, {"src": TWO[1]}]),
        "//a.vn/1.jpg,//b.vn/2.jpg",
        "a.vn/1.jpg, b.vn/2.jpg",
        "['https://a.vn/1.jpg', 'https://b.vn/2.jpg']",
        ",".join([*TWO, TWO[0]]),
    ],
)
def test_several_addresses_in_one_cell(cell):
    assert parse_url_cell(cell).urls == TWO


@pytest.mark.parametrize(
    "cell",
    [
        "n/a",
        "image.jpg",
        "images/1.jpg",
        "../secret.jpg",
        "/etc/passwd",
        "C:\\ảnh\\1.jpg",
        "\\\\server\\share\\1.jpg",
        "file:///etc/passwd",
        "ftp://a.vn/1.jpg",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "https://",
        "https://[bad/1.jpg",
        "https://a.vn:99999/1.jpg",
        f"https://a.vn/{'x' * 9000}",
    ],
)
def test_what_is_no_address_says_so(cell):
    parsed = parse_url_cell(cell)
    assert parsed.urls == () and parsed.problems
    assert len(parsed.problems[0]) < 400


def test_an_empty_cell_has_neither():
    assert parse_url_cell("  ") == parse_url_cell("[]")


def test_a_deep_list_is_no_recursion():
    assert parse_url_cell("[" * 100_000).urls == ()


fragments = st.sampled_from(
    [
        "https://",
        "http:",
        "//",
        "\\/",
        "a.vn",
        "/x.jpg",
        "?q=ả",
        "[",
        "]",
        '"',
        "{",
        ",",
        "\n",
        "|",
        ":",
        "@",
        "%",
        "%zz",
        " ",
    ]
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.one_of(st.text(max_size=200), st.lists(fragments, max_size=12).map("".join)))
@example('https://":')
@example("https://[]")
@example("https://[http:]")
@example("https://[http:[]")
@example("https://[http:http:]")
def test_whatever_a_cell_holds_the_result_is_an_address_or_a_reason(cell):
    parsed = parse_url_cell(cell)
    for address in parsed.urls:
        url = URL(address)
        assert url.scheme in ("http", "https") and url.host
        address.encode("ascii")
        assert parse_url_cell(address).urls == (address,)
    assert len(set(parsed.urls)) == len(parsed.urls)


@pytest.mark.parametrize("piece", [" ", ",", "|", "(", "https://", "a.", "[", "//", ", a."])
def test_a_cell_made_to_be_slow_is_not(piece):
    started = time.process_time()
    parse_url_cell(piece * (32_000 // len(piece)))
    assert time.process_time() - started < 2
