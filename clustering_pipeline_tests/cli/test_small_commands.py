"""`evaluate`, `corrections`, and what `sync`, `status` and `ui` say where there is nothing to work
on.
"""

import csv
import json
import socket
from importlib.metadata import version
from pathlib import Path

import openpyxl
import pytest

from clustering_pipeline.cli.place import free_port, only_category
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline_tests.cli.conftest import Call


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    book = openpyxl.Workbook()
    book.active.append(
        ["product_base_id", "url_thumbnail", "cluster_id", "cluster_size", "status", "reason"]
    )
    for number, cluster in enumerate([1, 1, 2, 2]):
        book.active.append([f"00{number}", f"http://x/{number}.jpg", cluster, 2, "clustered", None])
    book.save(tmp_path / "labelled.xlsx")
    return tmp_path / "labelled.xlsx"


def test_evaluate_prints_every_score(call: Call, labelled: Path, tmp_path: Path):
    truth = tmp_path / "truth.csv"
    truth.write_text("image,group\n0.jpg,a\n1.jpg,a\n2.jpg,b\n3.jpg,\n")
    answer = call("evaluate", labelled, "--truth", truth)
    assert answer.code == 0
    for score in ("BCubed", "pairwise", "adjusted rand", "homogeneity", "fowlkes mallows"):
        assert score in answer.output
    drawn = call(
        "evaluate", labelled, "--truth", truth, "--matrix", tmp_path / "matrix.svg", "--json"
    ).json
    assert Path(drawn["matrix"]).read_text(encoding="utf-8").startswith("<svg")
    metrics = drawn["metrics"]
    assert metrics["pairwise_precision"] == 0.5
    assert metrics["pairwise_recall"] == 1


def test_corrections_go_out_as_they_came_in(call: Call, tmp_path: Path):
    first, second = tmp_path / "in.csv", tmp_path / "out.csv"
    first.write_text("kind,id_a,id_b,author\nsame,001,002,Lan\ndifferent,001,003,Lan\n")
    assert call("corrections", "import", first, "--json").json["added"] == 2
    assert call("corrections", "import", first, "--json").json["added"] == 0
    assert call("corrections", "export", second, "--json").json["written"] == 2
    assert second.read_text().count("Lan") == 2


def test_corrections_go_out_without_formulas_and_come_back(call: Call, tmp_path: Path):
    first, second, third = (tmp_path / name for name in ("in.json", "out.csv", "again.json"))
    listing = "=cmd|' /C calc'!A0"
    first.write_text(
        json.dumps([{"kind": "same", "id_a": listing, "id_b": "-7", "author": "@Lan"}])
    )
    assert call("corrections", "import", first, "--json").json["added"] == 1
    call("corrections", "export", second)
    cells = [cell for row in csv.reader(second.open(encoding="utf-8-sig")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert call("corrections", "import", second, "--json").json["added"] == 0
    call("corrections", "export", third)
    assert json.loads(third.read_text())[0]["id_a"] == listing


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_corrections_and_truths_of_excel_are_read(
    call: Call, labelled: Path, tmp_path: Path, encoding: str
):
    corrections, truth = tmp_path / "c.csv", tmp_path / "t.csv"
    corrections.write_bytes("kind;id_a;id_b\nsame;000;001\n".encode(encoding))
    truth.write_bytes("product_base_id;group\n000;a\n001;a\n002;b\n".encode(encoding))
    assert call("corrections", "import", corrections, "--json").json["added"] == 1
    assert (
        call("evaluate", labelled, "--truth", truth, "--json").json["metrics"]["rows_scored"] == 3
    )


def test_a_listing_in_two_groups_of_the_truth_is_named(call: Call, labelled: Path, tmp_path: Path):
    truth = tmp_path / "t.csv"
    truth.write_text("product_base_id,group\n000,a\n000,b\n001,a\n")
    answer = call("evaluate", labelled, "--truth", truth)
    assert "000 (a, b)" in answer.errors and answer.code == 0


def test_listings_and_categories_that_nobody_knows_are_named(call: Call, tmp_path: Path):
    file = tmp_path / "c.csv"
    file.write_text("kind,id_a,id_b,category\nsame,1,2,\nsame,1,2,khong-co\n")
    answer = call("corrections", "import", file)
    assert answer.code == 0
    assert "'khong-co' is not known" in answer.errors and "No listing '1'" in answer.errors


def test_corrections_that_cannot_be_read_are_refused(call: Call, tmp_path: Path):
    answer = call("corrections", "import", tmp_path / "missing.csv")
    assert answer.code == 2
    assert "missing.csv" in answer.error


def test_the_next_port_is_taken_when_the_first_is_not_free():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port("127.0.0.1", port) > port


def test_the_version_is_shown(call: Call):
    answer = call("--version")
    assert (answer.code, answer.output) == (
        0,
        f"clustering-pipeline {version('clustering-pipeline')}\n",
    )


def test_serve_refuses_a_port_that_is_taken(call: Call):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = call("serve", "--port", taken.getsockname()[1])
    assert answer.code == 2 and "another program" in answer.error


def test_the_only_category_need_not_be_named():
    assert only_category(["kem"], None) == only_category(["kem", "son"], "Kem") == "kem"
    with pytest.raises(InputError, match="kem, son"):
        only_category(["kem", "son"], None)


def test_ui_refuses_a_port_that_is_taken(call: Call):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = call("ui", "--port", taken.getsockname()[1])
    assert answer.code == 2
    assert "Choose another --port" in answer.error


def test_nothing_is_pruned_while_somebody_uses_the_storage(home: Path, call: Call):
    project = Project(PipelineHome(home).prepare())
    unreferenced = project.blobs.put(b"fetched a moment ago")
    with project.home.using_storage():
        refused = call("storage", "prune", "--yes")
    assert refused.code == 3
    assert "under way" in refused.error
    assert project.blobs.has(unreferenced)
    assert call("storage", "prune", "--yes", "--json").json["files"] == 1


def test_a_file_of_another_account_is_named(home: Path, call: Call, rights_hold: None):
    file = home / "storage/sources/serum.json"
    file.parent.mkdir(parents=True)
    file.touch(mode=0)
    answer = call("status")
    assert answer.code == 3 and f"{file} cannot be read or written (Permission" in answer.error
