import io
import re
from html import unescape

import openpyxl
import pandas as pd
import pytest

from clustering_pipeline.core.manifests import WRITTEN_FILES
from clustering_pipeline.core.markup import open_templates
from clustering_pipeline.outputs.workbook import WorkbookNotes
from clustering_pipeline.stages.deduplication import FUNNEL_STEPS, draw_funnel
from clustering_pipeline.web.rendering import in_language
from clustering_pipeline_tests.outputs.workbook import builders
from clustering_pipeline_tests.web import home

BASE = f"/c/{home.SLUG}"


def secret_of(client, page="corrections"):
    return re.search(r'name="secret" value="([^"]+)"', client.get(f"{BASE}/{page}").text).group(1)


def post(client, path, **data):
    page = re.match(r"review/\d+|", path)[0] or "corrections"
    return client.post(f"{BASE}/{path}", data={"secret": secret_of(client, page), **data})


def upload(client, name, content):
    return client.post(
        f"{BASE}/corrections", data={"secret": secret_of(client)}, files={"file": (name, content)}
    )


def edited_workbook(project, category):
    """A labelled workbook of eight listings in pairs, in which the second one was moved to the
    second cluster.
    """
    rows, notes = [builders.HEADER, *builders.listings(8)], WorkbookNotes(category=category)
    content = builders.label(builders.workbook_bytes(rows), project.home.storage, notes=notes)
    workbook = openpyxl.load_workbook(io.BytesIO(content))
    workbook.worksheets[0].cell(3, 4, 2)
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


def cluster_of(project, listing):
    clusters = project.manifests.read("clusters", home.SLUG).set_index("listing")
    return int(clusters.loc[listing, "cluster_id"])


def members(project, number):
    clusters = project.manifests.read("clusters", home.SLUG)
    return sorted(clusters.loc[clusters["cluster_id"] == number, "listing"])


def test_the_start_page_shows_the_category_and_its_progress(reader):
    page = reader.get("/").text
    assert home.NAME in page and "of" in page and f"{BASE}/search" in page


def test_a_cluster_shows_its_listings_and_its_weakest_pair(reader, finished_home):
    page = reader.get(f"{BASE}/review/1").text
    assert "P000" in page and "<line " in page and "matched points" in page


def test_the_least_sure_pictures_come_first_and_confirmed_ones_last(client, project):
    number = cluster_of(project, 0)
    frame = project.manifests.read("clusters", home.SLUG).set_index("listing")

    def shown():
        page = client.get(f"{BASE}/review/{number}").text
        return list(map(int, re.findall(r'name="listing" value="(\d+)"', page)))

    confidences = [frame.loc[listing, "confidence"] for listing in shown()]
    assert len(confidences) > 2 and confidences == sorted(confidences)
    first, second = shown()[:2]
    post(client, f"review/{number}/pair", a=first, b=second, kind="same")
    home.group_again(project)
    assert set(shown()[-2:]) == {first, second}


def test_merging_two_clusters_is_honoured_by_the_next_run(client, project):
    first, second = cluster_of(project, 0), cluster_of(project, 19)
    assert first != second
    everyone = members(project, first) + members(project, second)
    assert post(client, f"review/{first}/merge", target=second).status_code == 200
    home.group_again(project)
    assert members(project, cluster_of(project, 0)) == sorted(everyone)


def test_splitting_takes_the_chosen_out(client, project):
    number = cluster_of(project, 16)
    post(client, f"review/{number}/split", listing=[17])
    home.group_again(project)
    assert cluster_of(project, 17) != cluster_of(project, 16)


def kinds_between(client, chosen):
    """How often statements say what of the chosen listings among themselves."""
    stated = client.get(f"/api/categories/{home.SLUG}/corrections").json()
    ids = {f"P{number:03d}" for number in chosen}
    return [row["kind"] for row in stated if {row["id_a"], row["id_b"]} <= ids]


@pytest.mark.parametrize("how", ["together", "each"])
def test_several_that_are_split_off_are_one_product_only_where_that_is_said(client, project, how):
    number, chosen = cluster_of(project, 16), [16, 17]
    everyone = members(project, number)
    post(client, f"review/{number}/split", listing=chosen, how=how)
    assert set(kinds_between(client, chosen)) == {"same" if how == "together" else "different"}
    home.group_again(project)
    found = [cluster_of(project, listing) for listing in chosen]
    # Who is alone has no cluster.
    assert (found[0] == found[1] != -1) is (how == "together")
    staying = [listing for listing in everyone if listing not in chosen]
    left = {cluster_of(project, listing) for listing in staying}
    assert len(left) == 1 and left.isdisjoint(found)
    # The halves are nobody's suggestion again.
    halves = {*found, *left} - {-1}
    pages = {place: client.get(f"{BASE}/review/{place}").text for place in halves}
    for place, page in pages.items():
        suggested = set(map(int, re.findall(r'name="target" value="(\d+)"', page)))
        assert suggested.isdisjoint(halves - {place})


def test_moving_puts_the_chosen_elsewhere(client, project):
    source, target = cluster_of(project, 16), cluster_of(project, 0)
    post(client, f"review/{source}/move", listing=[17], target=target)
    home.group_again(project)
    assert cluster_of(project, 17) == cluster_of(project, 0) != cluster_of(project, 16)


def test_a_name_given_by_a_person_stays(client, project):
    number = cluster_of(project, 0)
    post(client, f"review/{number}/name", text="Kem A <b>50 ml</b>")
    home.group_again(project)
    page = client.get(f"{BASE}/review/{number}").text
    assert "Kem A &lt;b&gt;50 ml&lt;/b&gt;" in page


def test_one_click_undoes_a_whole_action(client, project):
    number = cluster_of(project, 16)
    answer = post(client, f"review/{number}/split", listing=[16, 17])
    done = re.search(r'name="numbers" value="([\d,]+)"', answer.text).group(1)
    assert "," in done
    post(client, "undo", numbers=done)
    assert len(client.get(f"/api/categories/{home.SLUG}/corrections").json()) == 0


def test_what_was_recorded_at_once_is_one_line_of_the_history_with_one_undo(client, project):
    number = cluster_of(project, 16)
    post(client, f"review/{number}/split", listing=[16, 17])
    post(client, f"review/{cluster_of(project, 0)}/name", text="Kem A")
    stated = [one.number for one in project.corrections.in_force(home.SLUG)]
    page = client.get(f"{BASE}/corrections").text
    lines = re.findall(r"<tr.*?</tr>", page.split("<tbody>")[1], re.DOTALL)
    assert len(lines) == 2 and len(stated) > 3
    # The instant, so that a script can tell it by the reader's clock.
    assert re.search(r'<time datetime="[^"]+\+00:00">[^<]+ UTC</time>', lines[0])
    assert "Kem A" in lines[0]
    undo = re.search(r'name="numbers" value="([\d,]+)"', lines[1])[1]
    assert list(map(int, undo.split(","))) == stated[:-1]
    post(client, "undo", numbers=undo)
    assert [one.number for one in project.corrections.in_force(home.SLUG)] == stated[-1:]
    lines = client.get(f"{BASE}/corrections").text.split("<tbody>")[1].count("<tr")
    assert lines == 3


def test_an_action_counts_as_looked_at(client):
    before = client.get(f"/api/categories/{home.SLUG}/clusters/1").json()["looked_at"]
    post(client, "review/1/looked")
    assert not before and client.get(f"/api/categories/{home.SLUG}/clusters/1").json()["looked_at"]
    assert "1 of" in client.get("/").text


def test_corrections_wait_for_the_next_run(client, project):
    post(client, "review/1/name", text="New name")
    assert "Corrections waiting: 1." in client.get(f"{BASE}/review").text
    home.group_again(project)
    assert "Corrections waiting" not in client.get(f"{BASE}/corrections").text


def test_corrections_leave_and_come_back_as_a_workbook(client):
    post(client, "review/1/name", text="=cmd()")
    content = client.get(f"{BASE}/corrections.xlsx").content
    assert openpyxl.load_workbook(io.BytesIO(content)).active["A2"].value == "name"
    number = client.get(f"/api/categories/{home.SLUG}/corrections").json()[0]["number"]
    post(client, "undo", numbers=number)
    preview = upload(client, "../../back.xlsx", content)
    assert "1 new corrections" in preview.text and "=cmd()" in preview.text
    assert client.get(f"/api/categories/{home.SLUG}/corrections").json() == []
    answer = client.post(preview.url.path, data={"secret": secret_of(client)})
    assert "1 new corrections" in answer.text
    assert "This file brings nothing new" in upload(client, "back.xlsx", content).text


def test_an_edited_workbook_shows_what_it_would_change_before_it_does(client, project):
    preview = upload(client, "Tháng 6.xlsx", edited_workbook(project, home.SLUG))
    assert "2 new corrections" in preview.text and "0001" in preview.text
    client.post(preview.url.path, data={"secret": secret_of(client)})
    stated = client.get(f"/api/categories/{home.SLUG}/corrections").json()
    assert [(row["kind"], row["id_a"], row["id_b"]) for row in stated] == [
        ("same", "0001", "0002"),
        ("different", "0001", "0000"),
    ]


def test_the_workbook_of_another_category_is_refused(client, project):
    answer = upload(client, "toner.xlsx", edited_workbook(project, "toner"))
    assert answer.status_code == 400 and "workbook of the category toner" in answer.text


def test_the_labelled_workbook_is_given_out(client, project):
    assert client.get(f"{BASE}/workbook").status_code == 404
    project.files("outputs").write(f"{home.SLUG}/Kem <chống>.xlsx", b"labelled")
    paths = ["/home/lan/Kem <chống>.xlsx", f"{home.SLUG}/Kem <chống>.xlsx"]
    written = pd.DataFrame({"path": paths, "sha256": ["0" * 64, "1" * 64], "rows": [1, 1]})
    project.manifests.write("labeled_excel", home.SLUG, written, WRITTEN_FILES)
    answer = client.get(f"{BASE}/workbook")
    assert answer.content == b"labelled"
    assert (
        answer.headers["content-disposition"]
        == f'attachment; filename="{home.SLUG}.clustered.xlsx"'
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.exe", b"MZ"), ("x.xlsx", b"no workbook"), ("x.csv", b"a,b\n1,2\n"), ("", b"")],
)
def test_a_file_that_holds_no_corrections_is_refused(client, name, content):
    assert upload(client, name, content).status_code in (400, 422)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("review/1/merge", {"target": 1}),
        ("review/1/split", {}),
        ("review/1/split", {"listing": [999]}),
        ("review/1/move", {"target": 2}),
        ("review/1/name", {"text": "  "}),
        ("undo", {"numbers": "1;2"}),
        ("undo", {"numbers": "12345"}),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(client, path, data):
    answer = post(client, path, **data)
    assert answer.status_code == 400
    # What was sent from a cluster's page is answered there.
    assert ('role="alert"' if "review" in path else "That did not work") in answer.text
    assert client.get(f"/api/categories/{home.SLUG}/corrections").json() == []


def asked_pair(client, number):
    """The two listings that the page of a cluster asks about, None when it asks nothing."""
    page = client.get(f"{BASE}/review/{number}").text
    form = re.search(
        r'<form class="row" method="post" action="[^"]+/pair">(.*?)</form>', page, re.S
    )
    return form and tuple(
        int(re.search(rf'name="{side}" value="(\d+)"', form[1])[1]) for side in "ab"
    )


def test_the_page_asks_about_the_next_pair_until_none_is_left(client, project):
    number = cluster_of(project, 0)
    seen = []
    while (pair := asked_pair(client, number)) is not None:
        assert set(pair) <= set(members(project, number)) and pair not in seen
        seen.append(pair)
        post(client, f"review/{number}/pair", a=pair[0], b=pair[1], kind="same")
    assert seen and "Nothing is left to ask" in client.get(f"{BASE}/review/{number}").text


def test_a_listing_that_left_the_cluster_is_not_spoken_of(client, project):
    first, second = cluster_of(project, 0), cluster_of(project, 16)
    answer = post(client, f"review/{first}/pair", a=0, b=16, kind="different")
    assert answer.status_code == 400 and f"P016 is not in cluster {first}" in answer.text
    assert client.get(f"/api/categories/{home.SLUG}/corrections").json() == []
    other = {"a": 0, "b": 16, "kind": "different", "other": second}
    assert post(client, f"review/{first}/pair", **other).status_code == 200


@pytest.mark.parametrize("path", ["review/999", "review/-5", "pictures/999.jpg", "nowhere"])
def test_what_does_not_exist_is_not_found(reader, path):
    assert reader.get(f"{BASE}/{path}").status_code == 404
    assert reader.get(f"/c/nobody/{path}").status_code == 404


def test_a_form_without_our_secret_is_refused(client):
    assert client.post(f"{BASE}/review/1/looked", data={"secret": "guessed"}).status_code == 403


def test_pictures_are_small_jpegs(reader):
    answer = reader.get(f"{BASE}/pictures/0.jpg?size=small")
    assert answer.headers["content-type"] == "image/jpeg" and len(answer.content) < 30_000


def test_the_language_can_be_changed_and_stays(client):
    assert "Duyệt" in client.get(f"{BASE}/review?lang=vi").text
    assert "Duyệt" in client.get(f"{BASE}/review").text
    assert "Duyệt" not in client.get(f"{BASE}/review?lang=en").text


def test_pages_that_stages_wrote_are_shown_in_ours_and_no_other_file(reader):
    for page in ("report", "pages/report"):
        answer = reader.get(f"{BASE}/{page}")
        assert f'src="{BASE}/alone/report"' in answer.text and ">Review</a>" in answer.text
    assert f'src="{BASE}/alone/report.vi"' in reader.get(f"{BASE}/report?lang=vi").text
    for name in ("nothing", "..%2freport", ".report"):
        assert reader.get(f"{BASE}/pages/{name}").status_code == 404
        assert reader.get(f"{BASE}/alone/{name}").status_code == 404


def test_the_report_is_shown_in_a_sandbox_and_in_the_chosen_colours(reader):
    answer = reader.get(f"{BASE}/alone/report")
    assert "sandbox" in answer.headers["content-security-policy"] and home.NAME in answer.text
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert '<html data-theme="dark"' in reader.get(f"{BASE}/alone/report?theme=dark").text
    assert reader.get(f"{BASE}/alone/report?theme=%22x").status_code == 422


def test_the_api_is_described_for_people(reader):
    page = reader.get("/api/docs").text
    for path in reader.get("/api/openapi.json").json()["paths"]:
        assert f"<code>{path}</code>" in page


def test_a_person_who_confirms_is_told_of_instead_of_a_figure(client, project):
    listing = next(
        one
        for one in client.get(f"/api/categories/{home.SLUG}/clusters/1").json()["listings"]
        if not one["is_representative"]
    )
    assert not listing["confirmed"] and listing["confidence"] < 1
    other = client.get(f"/api/categories/{home.SLUG}/clusters/1").json()["listings"][0]
    post(client, "review/1/pair", a=other["listing"], b=listing["listing"], kind="same")
    home.group_again(project)
    told = client.get(f"/api/categories/{home.SLUG}/clusters/1").json()["listings"]
    confirmed = {one["listing"]: one["confidence"] for one in told if one["confirmed"]}
    assert confirmed == {other["listing"]: 1.0, listing["listing"]: 1.0}
    assert client.get(f"{BASE}/review/1").text.count("confirmed by a person") >= 2


def test_a_category_made_by_mistake_is_removed(client, project):
    assert "Remove Kem chống nắng?" in client.get(f"{BASE}/remove").text
    answer = post(client, "remove")
    assert answer.status_code == 200 and "Kem chống nắng was removed." in answer.text
    assert client.get(f"{BASE}/review").status_code == 404
    assert project.sources.find(home.SLUG) is None
    assert project.manifests.categories("clusters") == []
    assert not project.outputs.exists(home.SLUG)


def test_a_category_that_is_worked_on_is_not_removed(client, project):
    with project.home.working_on(home.SLUG):
        assert post(client, "remove").status_code == 400
    assert client.get(f"{BASE}/review").status_code == 200


@pytest.mark.parametrize("write", [str, "Serum ({})".format, "cluster #{}".format])
def test_clusters_are_merged_by_number_in_several_spellings(client, project, write):
    first, second = cluster_of(project, 0), cluster_of(project, 19)
    assert post(client, f"review/{first}/merge", target=write(second)).status_code == 200
    assert len(project.corrections.in_force(home.SLUG)) == 1


def test_clusters_are_merged_by_name(client, project):
    first, second = cluster_of(project, 0), cluster_of(project, 19)
    post(client, f"review/{second}/name", text="Toner hoa hồng")
    home.group_again(project)
    before = len(project.corrections.in_force(home.SLUG))
    assert post(client, f"review/{first}/merge", target="toner hoa").status_code == 200
    assert len(project.corrections.in_force(home.SLUG)) == before + 1
    assert f"Toner hoa hồng ({second})" in client.get(f"{BASE}/review/{first}").text
    refused = post(client, f"review/{first}/merge", target="Toner hoa hông")
    assert refused.status_code == 404 and "Toner hoa hồng" in refused.text


def test_pages_of_stages_are_in_the_readers_language(client, project):
    page = (
        '<!doctype html>\n<html lang="en">\n<style>td::before { content: "Kept"; }</style>'
        "<h1>Duplicates and rejects</h1><table><tr><th>Kept</th>"
        "<td>duplicate of 0a1b2c3d4e5f: 3 of 64 bits differ<br>doubt 40 %</td>"
        "<td>blurred: sharpness 12, at least 40</td><td>contour &amp; 0.53</td></tr></table></html>"
    )
    project.outputs.write(f"{home.SLUG}/left-out.html", page.encode())
    english = client.get(f"{BASE}/alone/left-out", params={"lang": "en"}).text
    assert english == page
    vietnamese = client.get(f"{BASE}/alone/left-out", params={"lang": "vi"}).text
    assert '<html lang="vi">' in vietnamese and "<h1>Ảnh trùng và ảnh bị loại</h1>" in vietnamese
    assert "<th>Được giữ</th>" in vietnamese and "mức đáng ngờ 40 %" in vietnamese
    assert "trùng với 0a1b2c3d4e5f: khác 3 trên 64 bit" in vietnamese
    assert "mờ: độ nét 12" in vietnamese
    # Style sheets and what nobody translated stay.
    assert 'content: "Kept"' in vietnamese and "contour &amp; 0.53" in vietnamese


@pytest.mark.parametrize(
    ("name", "shown", "total"),
    [("pairs", 0, 0), ("pairs", 1, 1), ("pairs", 2, 2), ("pairs", 2, 3), ("contact_sheet", 1, 1)],
)
def test_every_sentence_of_the_stages_pages_is_known_in_vietnamese(name, shown, total):
    package = {"pairs": "deduplication", "contact_sheet": "detection"}[name]
    template = open_templates(f"clustering_pipeline.stages.{package}").get_template(f"{name}.html")
    rows = [{"keeper": "k" * 64, "crop": "c" * 64, "picture": "x", "keeper_picture": "y"}]
    page = template.render(
        rows=[{**rows[0], "reason": "linked: cosine 0.9931 to its keeper", "doubt": 0.5}],
        shown=shown,
        total=total,
        funnel=draw_funnel(dict.fromkeys(FUNNEL_STEPS, 1)).decode(),
        pictures=[],
    )

    def sentences(text):
        plain = re.sub(r"<style>.*?</style>", "", text, flags=re.S)
        parts = re.findall(r">([^<>]+)<|(?:alt|label)=\"([^\"]+)", plain)
        texts = (" ".join(unescape(part or label).split()) for part, label in parts)
        return {one for one in texts if re.search(r"[a-z]{3}", one) and "_" not in one} - {
            "k" * 12,
            "c" * 12,
        }

    left = sentences(page) & sentences(in_language(page.encode(), "vi").decode())
    assert len(sentences(page)) > 1 and left == set()
