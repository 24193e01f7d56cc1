"""From a workbook that is dropped to its run: the columns, what is refused, and by whom."""

import html
import io
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor

import openpyxl
import pytest
from fastapi.testclient import TestClient

from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.web import ServeOptions, create_app, drafts
from clustering_pipeline_tests.web.conftest import ADDRESS

TOKEN = "a-secret-of-enough-letters"


@pytest.fixture
def project(tmp_path):
    return Project(PipelineHome(tmp_path / "home").prepare())


@pytest.fixture
def client(project):
    with TestClient(create_app(project, ServeOptions(author="lan")), base_url=ADDRESS) as client:
        yield client


def secret_of(page):
    return re.search(r'name="secret" value="([^"]+)"', page.text)[1]


def send(client, name, content, **data):
    values = {"secret": secret_of(client.get("/")), **data}
    files = {} if name is None else {"file": (name, content)}
    return client.post("/new", data=values, files=files)


def workbook(sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def links(number):
    return [f"https://shop.example/{n}.jpg" for n in range(number)]


def chosen(page):
    """What the selects of the page say, by name."""
    selects = re.findall(r'<select name="(\w+)">(.*?)</select>', page.text, re.S)
    options = {
        name: re.search(r"<option(?=[^>]* selected)(?:[^>]*?value=\"([^\"]*)\")?", text)
        for name, text in selects
    }
    return {name: html.unescape(found[1]) if found else None for name, found in options.items()}


def test_columns_are_guessed_by_their_headers_and_shown(client):
    rows = [
        ["Mã sản phẩm", "Tên sản phẩm", "Ảnh bìa"],
        *([n, f"Kem {n}", link] for n, link in enumerate(links(8))),
    ]
    page = send(client, "kem.xlsx", workbook({"Hàng": rows}))
    assert page.status_code == 200 and "/new/" in str(page.url)
    assert chosen(page) == {
        "identifier": "Mã sản phẩm",
        "url": "Ảnh bìa",
        "title": "Tên sản phẩm",
        "header_row": "1",
    }
    assert "https://shop.example/0.jpg" in page.text and "recognised by their headers" in page.text
    assert 'value="kem"' in page.text


def test_columns_without_known_headers_are_guessed_by_their_cells(client):
    rows = [["x1", "x2"], *([f"A{n}", link] for n, link in enumerate(links(12)))]
    page = send(client, "a.xlsx", workbook({"Sheet1": rows}))
    assert chosen(page)["identifier"] == "x1" and chosen(page)["url"] == "x2"
    assert "this is a guess" in page.text
    bare = send(client, "b.csv", "\n".join(f"A{n},{link}" for n, link in enumerate(links(12))))
    assert chosen(bare)["header_row"] == "0"
    assert (chosen(bare)["identifier"], chosen(bare)["url"]) == ("A", "B")


def test_another_sheet_and_columns_can_be_chosen(client, project):
    sheets = {
        "Old": [["sku", "image"], ["1", links(1)[0]]],
        "Notes": [["shop", "code", "photo"], ["A", "17", links(1)[0]]],
    }
    page = send(client, "a.xlsx", workbook(sheets))
    place = str(page.url)
    other = client.get(place, params={"sheet": "Notes", "shown": "Old", "header_row": 1})
    assert ">photo</option>" in other.text and chosen(other)["sheet"] == "Notes"
    begun = client.post(
        place,
        data={
            "secret": secret_of(client.get("/")),
            "sheet": "Notes",
            "header_row": 1,
            "identifier": "code",
            "url": "photo",
            "called": "Of notes",
        },
        follow_redirects=False,
    )
    assert begun.status_code == 303 and begun.headers["location"].startswith("/runs/")
    source = project.sources.load("of-notes")
    assert source.sheets == ("Notes",)
    settings = project.category_settings("of-notes").catalogue
    assert (settings.id_column, settings.url_column) == ("code", "photo")
    client.post(f"{begun.headers['location']}/cancel", data={"secret": secret_of(client.get("/"))})


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"identifier": "", "url": "image"}, "Choose the column of the ids"),
        ({"identifier": "image", "url": "image"}, "cannot be the same column"),
        ({"identifier": "sku", "url": "no such column"}, "has no sheet with a column"),
        ({"identifier": "sku", "url": "image", "called": "!!!"}, "letter or digit"),
        ({"identifier": "sku", "url": "image", "called": "x" * 200}, "1 to 120 letters"),
    ],
)
def test_a_wrong_choice_is_answered_where_it_was_made(client, project, choice, words):
    page = send(client, "a.xlsx", workbook({"A": [["sku", "image"], ["1", links(1)[0]]]}))
    data = {"secret": secret_of(client.get("/")), "sheet": "A", "header_row": 1, "called": "A"}
    answer = client.post(str(page.url), data={**data, **choice})
    assert answer.status_code == 400 and "Are these the right columns?" in answer.text
    assert words in html.unescape(answer.text)
    assert project.sources.all() == []


def bomb():
    """A small file that unfolds to a gigabyte."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("[Content_Types].xml", "<Types/>")
        package.writestr("xl/workbook.xml", b" " * 1_000_000_000)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("virus.exe", b"MZ", "no table that is read here"),
        ("a.xlsx", b"PK\x03\x04 and no more", "a.xlsx"),
        ("a.csv", b"", "is empty"),
        ("a.xlsx", workbook({"A": [[]]}), "a.xlsx"),
        (None, b"", "Choose a workbook"),
    ],
)
def test_what_is_no_workbook_is_answered_on_the_start_page(client, project, name, content, words):
    answer = send(client, name, content)
    assert answer.status_code == 400 and 'role="alert"' in answer.text
    assert words in answer.text and 'id="arrive"' in answer.text
    held = project.home.state / "drafts"
    assert not held.exists() or list(held.iterdir()) == []


def test_a_workbook_that_unfolds_is_refused_and_the_server_goes_on(client):
    answer = send(client, "bomb.xlsx", bomb())
    assert answer.status_code == 400 and 'role="alert"' in answer.text
    assert client.get("/").status_code == 200


def test_the_name_of_a_file_leads_nowhere(client, project):
    page = send(client, "../../../etc/<cron>.csv", "sku,image\n1,https://a.vn/1.jpg\n")
    assert page.status_code == 200
    (file,) = (project.home.state / "drafts").glob("*/*.csv")
    assert file.name == "cron.csv"
    assert client.get("/new/..%2F..%2Fhome.id").status_code == 404
    assert client.get("/new/" + "a" * 24).status_code == 404


def test_a_workbook_may_be_larger_than_other_uploads_and_has_its_own_limit(project):
    options = ServeOptions(author="lan", upload_bytes=1000, workbook_bytes=100_000)
    with TestClient(create_app(project, options), base_url=ADDRESS) as client:
        content = "sku,image\n" + "\n".join(f"{n},{link}" for n, link in enumerate(links(100)))
        assert send(client, "a.csv", content).status_code == 200
        assert send(client, "a.csv", content * 60).status_code == 413


def test_two_uploads_at_once_are_both_taken(client):
    page = workbook({"A": [["sku", "image"], ["1", links(1)[0]]]})
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda name: send(client, name, page), ("a.xlsx", "b.xlsx")))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert ['value="a"' in answers[0].text, 'value="b"' in answers[1].text] == [True, True]


def test_the_oldest_uploads_give_way(client, project, monkeypatch):
    monkeypatch.setattr(drafts, "DRAFTS_KEPT", 1)
    table = "sku,image\n1,https://a.vn/1.jpg\n"
    first, second = (str(send(client, name, table).url) for name in ("a.csv", "b.csv"))
    assert client.get(second).status_code == 200
    gone = client.get(first)
    assert gone.status_code == 404 and "no longer held" in gone.text


def test_pasted_links_become_a_list_with_numbers(client, project):
    page = send(client, None, b"", links="\n".join(links(5)))
    assert chosen(page)["url"] == "url_thumbnail" and "Pasted links" in page.text
    refused = send(client, None, b"", links="no address at all")
    assert refused.status_code == 400 and "There is no address" in refused.text
    assert "no address at all</textarea>" in refused.text


def test_pasted_rows_of_a_table_keep_their_columns(client):
    rows = ["sku\timage\ttitle", *(f"A{n}\t{link}\tKem" for n, link in enumerate(links(4)))]
    page = send(client, None, b"", links="\n".join(rows))
    assert chosen(page)["identifier"] == "sku" and chosen(page)["title"] == "title"


def test_a_workbook_from_elsewhere_is_refused(client):
    files = {"file": ("a.csv", b"sku,image\n")}
    assert client.post("/new", data={"secret": "wrong"}, files=files).status_code == 403
    other = {"origin": "https://elsewhere.example"}
    assert client.post("/new", files=files, headers=other).status_code == 403


def test_who_is_asked_once_where_others_connect(project):
    options = ServeOptions(host="0.0.0.0", token=TOKEN, author="server")
    with TestClient(create_app(project, options), base_url="http://127.0.0.1:8765") as client:
        page = client.get("/", params={"token": TOKEN})
        assert "Who are you?" in page.text
        data = {"secret": secret_of(page), "name": " Nguyễn  Minh ", "back": "//elsewhere.example"}
        answer = client.post("/you", data=data, follow_redirects=False)
        assert answer.headers["location"] == "/"
        again = client.get("/")
        assert "Who are you?" not in again.text and "Nguyễn Minh" in again.text
        assert f"http://127.0.0.1:8765/?token={TOKEN}" in client.get("/you").text


def test_a_server_of_this_machine_alone_asks_nobody_and_shares_nothing(client):
    assert "Who are you?" not in client.get("/").text
    assert "Only this machine" in client.get("/you").text


def test_a_run_that_is_not_there_is_answered_in_words(client):
    assert client.get("/runs/20260101-000000-00000000").status_code == 404
    assert client.get("/runs/20260101-000000-00000000/standing").status_code == 404


def test_errors_are_told_in_the_language_of_the_page(client):
    answer = client.post(
        "/new?lang=vi", data={"secret": secret_of(client.get("/"))}, files={"file": ("a.exe", b"M")}
    )
    assert "không phải là bảng đọc được ở đây" in answer.text


def test_a_disk_that_cannot_be_written_is_told_in_words(client, project):
    (project.home.state / "drafts").write_bytes(b"a file in the place of the folder")
    answer = client.post(
        "/new",
        data={"secret": secret_of(client.get("/"))},
        files={"file": ("a.csv", b"product_base_id,url_thumbnail\n1,https://shop.example/1.jpg\n")},
    )
    assert answer.status_code == 503
    assert "cannot be read or written (Not a directory)" in answer.text
