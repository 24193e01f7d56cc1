import io
import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image

from clustering_pipeline.imaging import to_png
from clustering_pipeline.synthetic import serve_folder
from clustering_pipeline.web import ServeOptions, create_app
from clustering_pipeline_tests.web import home

BASE, API = f"/c/{home.SLUG}", f"/api/categories/{home.SLUG}/search"


def secret_of(client, page="search"):
    return re.search(r'name="secret" value="([^"]+)"', client.get(f"{BASE}/{page}").text).group(1)


def ask(client, picture=None, **data):
    files = {"picture": ("q.jpg", picture)} if picture is not None else None
    return client.post(f"{BASE}/search", data={"secret": secret_of(client), **data}, files=files)


def search(client, picture=None, **data):
    files = {"picture": ("q.jpg", picture)} if picture is not None else None
    return client.post(API, data=data, files=files)


def test_a_new_photograph_finds_its_product_verified(reader):
    found = search(reader, home.picture(4, 0, seed=5)).json()
    best = found["hits"][0]
    assert best["listing"] // home.SELLERS == 4 and best["verified"] and best["matched_points"] > 8
    assert found["regions"][0]["chosen"] and found["seconds"] > 0


def test_the_page_shows_boxes_and_results(reader):
    page = ask(reader, home.picture(4, 0, seed=5)).text
    assert 'class="region"' in page and "The print matches" in page and "P01" in page


def test_the_picture_of_a_query_is_shown_to_who_knows_its_name(reader):
    answer = ask(reader, home.picture(0, 0))
    assert reader.get(answer.url.path + "/picture.jpg").headers["content-type"] == "image/jpeg"
    assert reader.get(f"{BASE}/search/guessed/picture.jpg").status_code == 404


@pytest.mark.parametrize("mode", ["exact", "class", "cluster"])
def test_every_mode_finds_the_product(reader, mode):
    hits = search(reader, home.picture(0, 2, seed=2), mode=mode, top=3).json()["hits"]
    assert hits[0]["listing"] == 2 and len(hits) <= 3


def test_a_listing_id_searches_with_its_picture(reader):
    assert search(reader, words="P006").json()["hits"][0]["listing"] // home.SELLERS == 1


def test_an_unknown_id_finds_nothing_and_says_so(reader):
    assert search(reader, words="nobody").status_code == 404
    answer = ask(reader, words="nobody")
    assert answer.status_code == 200 and "Nothing was found." in answer.text
    assert 'value="nobody"' in answer.text


def test_words_of_a_title_lead_to_listings_and_clusters(reader):
    title = reader.get(f"/api/categories/{home.SLUG}/clusters/1").json()["listings"][0]["title"]
    page = ask(reader, words=title.upper()).text
    assert f'{BASE}/review/1"' in page and title in page


def test_words_find_the_name_of_a_cluster_whatever_its_accents(client, project):
    data = {"secret": secret_of(client, "review/2"), "text": "Kem dưỡng đặc biệt"}
    client.post(f"{BASE}/review/2/name", data=data)
    home.group_again(project)
    page = ask(client, words="kem duong dac").text
    assert f'{BASE}/review/2"' in page and "Kem dưỡng đặc biệt" in page


def test_part_of_an_id_finds_its_listings(reader):
    page = reader.get(f"{BASE}/words", params={"q": "P01"}).text
    assert page.count('name="words" value="P01') == 10


def test_a_box_of_ones_own_is_searched(reader):
    found = search(reader, home.picture(4, 0), box="10,10,200,200").json()
    assert found["regions"][0]["box"] == [10, 10, 200, 200] and found["regions"][0]["chosen"]


@pytest.mark.parametrize("box", ["5,5,6,6", "100000,1,100001,2"])
def test_a_box_without_area_is_refused(reader, box):
    assert search(reader, home.picture(4, 0), box=box).status_code == 400


def test_a_region_that_is_not_there_is_refused(reader):
    assert search(reader, home.picture(4, 0), region=50).status_code == 400


def test_nothing_asked_is_refused(reader):
    assert search(reader).status_code == 400
    assert ask(reader).status_code == 400


def bomb():
    buffer = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"<html>no picture</html>",
        home.picture(0, 0)[:400],
        bomb(),
        to_png(np.zeros((3, 3, 3), np.uint8)),
    ],
)
def test_bytes_that_are_no_sound_picture_are_refused_in_words(reader, content):
    assert search(reader, content).status_code == 400
    answer = ask(reader, content)
    # It is answered where the picture was chosen.
    assert 'role="alert"' in answer.text and 'id="ask"' in answer.text


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x.jpg",
        "http://localhost/x.jpg",
        "http://169.254.169.254/latest",
        "http://[::1]/x.jpg",
        "http://",
    ],
)
def test_a_url_into_this_machine_is_refused(reader, url):
    assert search(reader, words=url).status_code == 400


def test_a_url_on_an_allowed_host_is_searched(client, project, tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "q.jpg").write_bytes(home.picture(4, 1, seed=2))
    with serve_folder(tmp_path / "shop") as shop:
        project.home.settings_file.write_text(
            f"download:\n  allow_hosts: ['{shop.host}']\n", encoding="utf-8"
        )
        hits = search(client, words=f"{shop.url}/q.jpg").json()["hits"]
    assert hits[0]["listing"] // home.SELLERS == 4


def test_a_new_index_is_used_without_a_restart(client, project):
    number = search(client, home.picture(0, 0)).json()["hits"][0]["cluster_id"]
    secret = secret_of(client)
    client.post(f"{BASE}/review/{number}/split", data={"secret": secret, "listing": [0, 2]})
    home.group_again(project)
    assert search(client, home.picture(0, 1)).json()["hits"][0]["cluster_id"] is not None


def test_fifty_searches_at_once_are_all_answered(shared_address):
    pictures = [home.picture(product, 0) for product in range(home.PRODUCTS)]

    def one(number):
        files = {"picture": ("q.jpg", pictures[number % home.PRODUCTS])}
        answer = httpx.post(f"{shared_address}{API}", files=files, data={"top": 3}, timeout=120)
        return answer.status_code, len(answer.json()["hits"])

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(one, range(50)))
    assert answers == [(200, 3)] * 50


def test_options_name_the_address():
    assert ServeOptions(port=99, author="x").address == "http://127.0.0.1:99/"
    assert ServeOptions(host="::1", port=99, token="t" * 20, author="x").address.startswith(
        "http://[::1]:99/?token="
    )
    assert callable(create_app)
