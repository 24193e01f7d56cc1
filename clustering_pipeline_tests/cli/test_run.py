"""`run` from the workbook to the labelled workbook, and everything it refuses before it starts."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pytest

from clustering_pipeline.synthetic import SyntheticCatalogue, write_catalogue
from clustering_pipeline_tests.cli.conftest import Answer, Call
from clustering_pipeline_tests.cli.shops import QUICK, GatedShop, open_shop, start_command

SETTINGS = """
download:
  allow_hosts: ["{host}"]
matches:
  text: false
compute:
  workers: 1
"""


@dataclass(frozen=True)
class Finished:
    """A catalogue that was run once in a process of its own."""

    home: Path
    shop: GatedShop
    catalogue: SyntheticCatalogue
    answer: Answer

    @property
    def arguments(self) -> tuple[object, ...]:
        return ("run", self.catalogue.workbook, "--json")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("shop")
    images = folder / "images"
    images.mkdir()
    with open_shop(images) as shop:
        catalogue = write_catalogue(
            folder, shop.url, products=3, seed=11, listings_per_product=(3, 4)
        )
        (folder / "home").mkdir()
        (folder / "home" / "settings.yaml").write_text(SETTINGS.format(host=shop.host))
        process = start_command(folder / "home", ("run", catalogue.workbook, "--json"), folder)
        output, errors = process.communicate(timeout=280)
        yield Finished(folder / "home", shop, catalogue, Answer(process.returncode, output, errors))


@pytest.fixture
def at_home(finished: Finished, monkeypatch: pytest.MonkeyPatch, call: Call) -> Call:
    """Calls commands on the home of the finished run."""
    monkeypatch.setenv("DAGSTER_HOME", str(finished.home))
    return call


# What two runs with the same result may differ in.
TIMES = {"seconds": 0, "steps": []}


def rows_of(workbook: Path | str) -> list[dict[str, object]]:
    header, *rows = openpyxl.load_workbook(workbook).worksheets[0].iter_rows(values_only=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_run_writes_the_workbook_and_says_where_in_one_json_object(finished: Finished):
    assert finished.answer.code == 0, finished.answer.errors
    result = json.loads(finished.answer.output)
    assert {"workbook", "report", "rows", "status_counts", "clusters", "seconds", "metrics"} <= set(
        result
    )
    assert Path(result["workbook"]) == finished.catalogue.workbook.with_name(
        "catalogue.clustered.xlsx"
    )
    assert Path(result["report"]).read_text(encoding="utf-8").startswith("<!")
    assert (
        result["rows"] == sum(result["status_counts"].values()) == len(finished.catalogue.listings)
    )


def test_a_run_says_where_its_time_went(finished: Finished, at_home: Call):
    result = json.loads(finished.answer.output)
    steps = {step["asset"]: step for step in result["steps"]}
    assert {"catalogue", "raw_images", "crops", "matches", "clusters", "labeled_excel"} <= set(
        steps
    )
    assert sum(step["seconds"] for step in steps.values()) <= result["seconds"]
    assert steps["crops"]["cache_misses"] > 0 and steps["crops"]["rows"] > 0
    again = at_home(*finished.arguments, "--force").json
    held = {step["asset"]: step["cache_hits"] for step in again["steps"]}
    assert held["crops"] == steps["crops"]["cache_hits"] + steps["crops"]["cache_misses"]


def test_every_row_is_there_in_order_with_a_cluster_or_a_reason(finished: Finished):
    before, after = (
        rows_of(finished.catalogue.workbook),
        rows_of(json.loads(finished.answer.output)["workbook"]),
    )
    assert [row["product_base_id"] for row in after] == [row["product_base_id"] for row in before]
    for row in after:
        assert row["status"] in (
            "clustered",
            "no_match",
            "rejected",
            "download_failed",
            "invalid_row",
        )
        assert row["cluster_id"] is not None or row["reason"]
    by_origin = dict(zip((x.origin for x in finished.catalogue.listings), after, strict=True))
    assert by_origin["dead_link"]["status"] == by_origin["web_page"]["status"] == "download_failed"
    assert by_origin["blurred"]["status"] == by_origin["dark"]["status"] == "rejected"


def test_the_workbook_that_was_given_is_not_touched(finished: Finished):
    assert list(rows_of(finished.catalogue.workbook)[0]) == [
        "product_base_id",
        "title",
        "shop",
        "url_thumbnail",
        "price",
        "list_price",
        "sold",
    ]


def test_second_run_asks_for_no_picture_that_is_held_and_gives_the_same(
    finished: Finished, at_home: Call
):
    finished.shop.requests.clear()
    again = at_home(*finished.arguments)
    assert again.code == 0, again.errors
    held = {
        f"/{path.name}" for path in finished.catalogue.images.iterdir() if path.name.startswith("p")
    }
    assert not held & set(finished.shop.requests)
    first = json.loads(finished.answer.output)
    assert {**again.json, **TIMES} == {**first, **TIMES}


def test_status_and_sync_after_a_run(finished: Finished, at_home: Call):
    at_home(*finished.arguments)
    known = at_home("status", "--category", "catalogue", "--json").json["categories"][0]
    # Dead links are due again at every run, whatever else is fresh.
    assert {asset["status"] for name, asset in known["assets"].items() if name != "raw_images"} == {
        "fresh"
    }, known
    synchronised = at_home("sync", "--category", "catalogue", "--json").json["categories"][0]
    assert set(synchronised["materialised"]) <= {"raw_images"}
    assert {name: synchronised[name] for name in ("workbook", "report")} == {
        name: json.loads(finished.answer.output)[name] for name in ("workbook", "report")
    }
    assert at_home("status", "--category", "nope").code == 2
    assert "labeled_excel" in at_home("status", "--assets").output
    short = at_home("status", "--category", "catalogue").output
    assert len([line for line in short.splitlines() if line.startswith("catalogue")]) == 1
    assert "labeled_excel" not in short


def test_a_setting_for_one_run_does_not_stay(finished: Finished, at_home: Call):
    before = at_home(*finished.arguments).json
    other = at_home(*finished.arguments, "--set", "clusters.method=dbscan")
    assert other.code == 0, other.errors
    after = at_home(*finished.arguments).json
    assert {**after, **TIMES} == {**before, **TIMES}


def test_category_names_with_slashes_and_accents_keep_their_display_name(
    finished: Finished, at_home: Call
):
    answer = at_home(
        *finished.arguments, "--category", "Kem/Chống nắng", "--output", finished.home / "out.xlsx"
    )
    assert answer.code == 0, answer.errors
    assert answer.json["category"] == "kem-chong-nang"
    names = {
        known["category"]: known["display_name"]
        for known in at_home("status", "--json").json["categories"]
    }
    assert names["kem-chong-nang"] == "Kem/Chống nắng"


def test_our_own_output_is_updated_not_labelled_twice(finished: Finished, at_home: Call):
    own = Path(at_home(*finished.arguments).json["workbook"])
    answer = at_home("run", own, "--json")
    assert answer.code == 0, answer.errors
    again = answer.json["workbook"]
    assert Path(again) != own
    assert list(rows_of(again)[0]) == list(rows_of(own)[0])
    assert openpyxl.load_workbook(again).sheetnames == openpyxl.load_workbook(own).sheetnames


def test_a_users_own_status_column_is_left_alone(finished: Finished, at_home: Call, tmp_path: Path):
    book = openpyxl.load_workbook(finished.catalogue.workbook)
    sheet = book.worksheets[0]
    sheet.cell(1, 5).value = "status"
    for row in range(2, sheet.max_row + 1):
        sheet.cell(row, 5).value = "mine"
    book.save(tmp_path / "own-status.xlsx")
    answer = at_home("run", tmp_path / "own-status.xlsx", "--json")
    assert answer.code == 0, answer.errors
    rows = rows_of(answer.json["workbook"])
    assert {row["status"] for row in rows} == {"mine"}
    assert {row["cp_status"] for row in rows} >= {"download_failed", "rejected"}


@pytest.mark.timeout(1200)
def test_what_a_workbook_was_run_with_is_remembered(finished: Finished, call: Call, tmp_path: Path):
    copy = tmp_path / "kem.xlsx"
    shutil.copyfile(finished.catalogue.workbook, copy)
    sheet = openpyxl.load_workbook(copy).sheetnames[0]
    refused = call("run", copy, *QUICK, "--json")
    assert refused.code == 3 and "--allow-host 127.0.0.1" in refused.error
    assert not (tmp_path / "kem.clustered.xlsx").exists()
    given = ("--allow-host", finished.shop.host, "--category", "Hàng thử", "--sheet", sheet)
    first = call("run", copy, *QUICK, *given, "--json")
    assert first.code == 0, first.errors
    assert first.json["problems"][0]["listings"] > 0
    again = call("run", copy, *QUICK, "--json")
    said = f"kem.xlsx: --category 'Hàng thử' --sheet {sheet} --allow-host {finished.shop.host}"
    assert again.code == 0 and said in " ".join(again.errors.split())
    assert {**again.json, **TIMES} == {**first.json, **TIMES}
    [known] = [
        category
        for category in call("status", "--json").json["categories"]
        if category["category"] == "hang-thu"
    ]
    assert known["assets"]["settings/download"]["status"] == "fresh"


def test_a_run_that_lost_its_pictures_leaves_the_last_workbook(
    finished: Finished, at_home: Call, tmp_path: Path
):
    labelled = Path(at_home(*finished.arguments).json["workbook"])
    before = labelled.read_bytes()
    book = openpyxl.load_workbook(finished.catalogue.workbook)
    for row in book.worksheets[0].iter_rows(min_row=2):
        for cell in row:
            if str(cell.value).startswith("http"):
                cell.value = f"http://127.0.0.1:9/{cell.row}.jpg"
    book.save(tmp_path / "moved.xlsx")
    moved = ("run", tmp_path / "moved.xlsx", "--category", "catalogue", "--output", labelled)
    answer = at_home(*moved, "--json")
    assert answer.code == 3 and answer.output == ""
    assert f"{len(finished.catalogue.listings)} ×: " in answer.error
    assert "127.0.0.1:9" in answer.error and "the last run had" in answer.error
    assert labelled.read_bytes() == before
    assert at_home(*finished.arguments).code == 0


def test_pictures_are_exported_as_a_folder_per_cluster(
    finished: Finished, at_home: Call, tmp_path: Path
):
    exported = at_home("export", tmp_path / "pictures", "--category", "catalogue", "--json")
    assert exported.code == 0, exported.errors
    assert exported.json["files"] == len(list((tmp_path / "pictures").glob("*/*"))) > 0
    assert at_home("export", tmp_path / "pictures", "--category", "catalogue").code == 2


def test_edits_in_the_labelled_workbook_become_corrections(
    finished: Finished, at_home: Call, tmp_path: Path
):
    labelled = at_home(*finished.arguments).json["workbook"]
    book = openpyxl.load_workbook(labelled)
    sheet = book.worksheets[0]
    column = [cell.value for cell in sheet[1]].index("cluster_name") + 1
    row = next(
        r for r in range(2, sheet.max_row + 1) if sheet.cell(r, column - 1).value not in (None, -1)
    )
    sheet.cell(row, column).value = "Named by Lan"
    book.save(tmp_path / "edited.xlsx")
    assert (
        at_home(
            "corrections", "import", tmp_path / "edited.xlsx", "--author", "Lan", "--json"
        ).json["added"]
        == 1
    )


def test_a_category_column_splits_the_workbook(finished: Finished, at_home: Call, tmp_path: Path):
    book = openpyxl.load_workbook(finished.catalogue.workbook)
    sheet = book.worksheets[0]
    sheet.cell(1, 5).value = "ngành hàng"
    for row in range(2, sheet.max_row + 1):
        sheet.cell(row, 5).value = "Sữa tắm" if row % 2 else "Dầu gội"
    book.save(tmp_path / "two.xlsx")
    answer = at_home("run", tmp_path / "two.xlsx", "--category-column", "ngành hàng", "--json")
    assert answer.code == 0, answer.errors
    categories = answer.json["categories"]
    assert [one["category"] for one in categories] == ["dau-goi", "sua-tam"]
    assert sum(one["rows"] for one in categories) == len(finished.catalogue.listings)
    both = at_home(
        "run", tmp_path / "two.xlsx", "--category-column", "ngành hàng", "--category", "x"
    )
    assert both.code == 2


def workbook_with(path: Path, *rows: tuple[object, ...]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--set", "clusters.metod=graph"), ("clusters.metod", "clusters.method")),
        (("--set", "clusters.eps=big"), ("clusters.eps", "big")),
        (("--set", "nonsense"), ("section.name=value",)),
        (("--settings", "missing.yaml"), ("missing.yaml",)),
        (("--category", "///"), ("///",)),
        (("--output", "no/such/folder/out.xlsx"), ("no/such/folder",)),
        (("--output", "out.docx"), ("out.docx", ".xlsx")),
        (("--images-from", "no-such-folder"), ("no-such-folder",)),
        (("--sheet", "no such sheet"), ("no such sheet",)),
    ],
)
def test_wrong_options_are_refused_in_one_paragraph(
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, str],
    words: tuple[str, ...],
):
    monkeypatch.chdir(tmp_path)
    catalogue = workbook_with(
        tmp_path / "a.xlsx", ("product_base_id", "url_thumbnail"), ("1", "http://127.0.0.1:9/1.jpg")
    )
    answer = call("run", catalogue, *options, "--json")
    assert answer.code == 2
    assert answer.output == ""
    assert all(word in answer.error for word in words), answer.error
    assert not (tmp_path / "a.clustered.xlsx").exists()


def test_a_missing_file_is_named(call: Call, tmp_path: Path):
    answer = call("run", tmp_path / "missing.xlsx")
    assert answer.code == 2
    assert "missing.xlsx" in answer.error


@pytest.mark.parametrize("content", [b"", b"not a workbook at all", b"PK\x03\x04 half a zip"])
def test_files_that_are_no_workbook_are_refused_and_leave_nothing(
    call: Call, tmp_path: Path, home: Path, content: bytes
):
    (tmp_path / "broken.xlsx").write_bytes(content)
    answer = call("run", tmp_path / "broken.xlsx", *QUICK)
    assert answer.code == 2, answer.errors
    assert "broken.xlsx" in answer.error
    assert not list((home / "storage").rglob("*.*"))


def test_a_workbook_without_the_columns_says_which_it_has_and_which_is_closest(
    call: Call, tmp_path: Path
):
    answer = call(
        "run",
        workbook_with(
            tmp_path / "a.xlsx", ("product_base", "link", "price"), (1, "http://x/1.jpg", 2)
        ),
        *QUICK,
    )
    assert answer.code == 2, answer.errors
    assert "price" in answer.error
    assert "product_base" in answer.error


def test_a_workbook_without_rows_is_refused(call: Call, tmp_path: Path):
    answer = call("run", workbook_with(tmp_path / "a.xlsx"), *QUICK)
    assert answer.code == 2, answer.errors


def test_the_output_may_not_be_the_catalogue(call: Call, tmp_path: Path):
    catalogue = workbook_with(
        tmp_path / "a.xlsx", ("product_base_id", "url_thumbnail"), ("1", "http://127.0.0.1:9/1.jpg")
    )
    content = catalogue.read_bytes()
    (tmp_path / "link.xlsx").symlink_to(catalogue)
    for output in (catalogue, tmp_path / "link.xlsx", tmp_path / "." / "a.xlsx"):
        assert call("run", catalogue, "--output", output).code == 2
    assert catalogue.read_bytes() == content


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_found_out_before_the_work(call: Call, tmp_path: Path):
    catalogue = workbook_with(
        tmp_path / "a.xlsx", ("product_base_id", "url_thumbnail"), ("1", "http://127.0.0.1:9/1.jpg")
    )
    (tmp_path / "closed").mkdir(mode=0o500)
    answer = call("run", catalogue, "--output", tmp_path / "closed" / "out.xlsx")
    assert answer.code == 2
    assert "closed" in answer.error


def test_a_home_that_cannot_be_made_is_refused(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    catalogue = workbook_with(
        tmp_path / "a.xlsx", ("product_base_id", "url_thumbnail"), ("1", "http://127.0.0.1:9/1.jpg")
    )
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "file" / "home"))
    answer = call("run", catalogue)
    assert answer.code == 2
    assert "DAGSTER_HOME" in answer.error
