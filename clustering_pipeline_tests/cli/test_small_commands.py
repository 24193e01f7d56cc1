"""`evaluate`, `corrections`, and what `sync`, `status` and `ui` say where there is nothing to work
on.
"""

import socket
import sys
from pathlib import Path

import openpyxl
import pytest

from clustering_pipeline.cli.ui import _free_port
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


def test_corrections_that_cannot_be_read_are_refused(call: Call, tmp_path: Path):
    answer = call("corrections", "import", tmp_path / "missing.csv")
    assert answer.code == 2
    assert "missing.csv" in answer.error


def test_ui_takes_the_next_port_when_the_first_is_taken(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(sys.modules[_free_port.__module__], "FIRST_PORT", port)
        assert _free_port("127.0.0.1") > port


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
