import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from clustering_pipeline.stages.download.addresses import UrlError, follow, parse_url, shown

pieces = st.sampled_from(
    ["http://", "https://", "HTTP:", "//", "/", "\\", "@", ":", "::", "[", "]", "%", "%2", "%2e", "#", "?", "&", " ", "\t", "\x00",
     "..", ".", "127.0.0.1", "0x7f.1", "[::1]", "xn--", "xn--a", "ảnh", "例え", "Ⓔ", "\ud800", "a" * 70, "shop.vn", "80", "99999", "-1"]
)  # fmt: skip
url_like = st.lists(pieces | st.text(max_size=5), max_size=8).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://Shop.VN/A.jpg", "http://shop.vn/A.jpg"),
        ("  https://shop.vn/a.jpg#top\n", "https://shop.vn/a.jpg"),
        ("https://shop.vn", "https://shop.vn/"),
        ("https://bánhmì.vn/ảnh.jpg", "https://xn--bnhm-5na3e.vn/%E1%BA%A3nh.jpg"),
        (
            "https://shop.vn/%7Esigned%2Fpath?X-Signature=%2b%2F",
            "https://shop.vn/%7Esigned%2Fpath?X-Signature=%2b%2F",
        ),
        ("https://shop.vn/50%.jpg", "https://shop.vn/50%25.jpg"),
        ("https://shop.vn:443/a", "https://shop.vn/a"),
        ("http://[2606:4700::1111]/a", "http://[2606:4700::1111]/a"),
    ],
)
def test_urls_are_taken_as_they_are_written(text, expected):
    assert str(parse_url(text)) == expected


def test_a_redirect_is_relative_to_where_it_came_from():
    assert (
        str(follow(URL("https://shop.vn/a/b.jpg"), "../c.jpg?x=1")) == "https://shop.vn/c.jpg?x=1"
    )
    assert str(follow(URL("https://shop.vn/a"), "//cdn.vn/b")) == "https://cdn.vn/b"


def test_credentials_are_not_carried_along_nor_shown():
    url = URL("https://user:secret@shop.vn/a?signature=hidden")
    assert "secret" not in str(follow(url, "/b"))
    assert shown(url) == "https://shop.vn/a"


@given(url_like | st.text())
@example("http://ảnh")
@example("http://[::ffff:127.0.0.1]")
def test_any_text_is_a_url_with_a_host_or_a_reason(text):
    try:
        url = parse_url(text)
    except UrlError as error:
        assert str(error)
    else:
        assert url.scheme in ("http", "https")
        assert url.raw_host
        assert url.port
        assert str(parse_url(str(url))) == str(url)


@given(url_like)
@example("//[")
def test_any_redirect_is_a_url_or_a_reason(location):
    try:
        assert follow(URL("https://shop.vn/a/b"), location).user is None
    except UrlError as error:
        assert str(error)
