"""`doctor`: every lack has its remedy, and keys keep their secrets."""

import importlib
import importlib.metadata
from pathlib import Path

import pytest

from clustering_pipeline_tests.cli.conftest import Call

# The face of the package offers the command under the module's name.
doctor = importlib.import_module("clustering_pipeline.cli.doctor")
examine_torch = doctor._examine_torch


@pytest.fixture(autouse=True)
def quick_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading torch and its kin in processes of their own takes long and is not what is tested
    here.
    """
    monkeypatch.setattr(doctor, "_REQUIRED", doctor._REQUIRED[:1])
    monkeypatch.setattr(
        doctor, "_OPTIONAL", (("no_such_module", "no-such", "magic", "`uv sync --extra magic`"),)
    )
    monkeypatch.setattr(
        doctor, "_examine_torch", lambda: doctor.Finding("optional", "torch's GPUs", "ok", "quick")
    )


def test_findings_are_complete_and_each_lack_has_a_remedy(call: Call, home: Path):
    answer = call("doctor", "--json")
    assert answer.code == 0
    findings = answer.json["findings"]
    assert {"machine", "required", "optional", "models on disk", "keys", "places", "settings"} <= {
        f["group"] for f in findings
    }
    assert all(finding["remedy"] for finding in findings if finding["state"] != "ok")
    assert any(
        finding["name"] == "faiss build" and "CPU build" in finding["found"] for finding in findings
    )
    assert (home / "dagster.yaml").exists()


def test_the_verdict_comes_first(call: Call, home: Path):
    first = call("doctor").output.splitlines()[0]
    assert first in ("All that is needed is here.", "One thing has to be put right:") or (
        "things have to be put right" in first
    )
    (home / "settings.yaml").write_text("clusters:\n  metod: graph\n")
    head = call("doctor").output.split("machine")[0]
    assert "put right:" in head and "clusters.method" in head


def test_keys_are_named_and_never_shown(call: Call, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GEMINI_API_KEY", "very-secret")
    answer = call("doctor")
    assert "GEMINI_API_KEY" in answer.output
    assert "very-secret" not in answer.output + answer.errors


def test_a_wrong_settings_file_is_a_problem_with_its_line(call: Call, home: Path):
    home.mkdir()
    (home / "settings.yaml").write_text("clusters:\n  metod: graph\n")
    problems = [
        finding
        for finding in call("doctor", "--json").json["findings"]
        if finding["state"] == "problem"
    ]
    assert any(
        "settings.yaml:2" in f["remedy"] and "clusters.method" in f["remedy"] for f in problems
    )


def test_a_home_that_cannot_be_made_is_a_problem(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "file" / "home"))
    problems = [
        finding
        for finding in call("doctor", "--json").json["findings"]
        if finding["state"] == "problem"
    ]
    assert any(finding["name"] == "Dagster home" for finding in problems)


def test_two_packages_with_the_module_faiss_are_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(
        importlib.metadata,
        "packages_distributions",
        lambda: {"faiss": ["faiss-cpu", "faiss-gpu-cu12"]},
    )
    finding = doctor._examine_faiss()
    assert finding.state == "problem"
    assert "CPU build of faiss-cpu, faiss-gpu-cu12" in finding.found
    assert "uv pip uninstall faiss-cpu" in finding.remedy


def test_a_module_that_crashes_on_import_is_a_problem_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "crashing_module.py").write_text("import os; os._exit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    finding = doctor._examine_module("optional", "crashing_module", "none", "tests", "nowhere")
    assert finding.state == "problem"
    assert "status 7" in finding.found


TORCH = """
class cuda:
    is_available = staticmethod(lambda: {available})
    device_count = staticmethod(lambda: 2)
    get_device_name = staticmethod(lambda number: f"Card {{number}}")


class version:
    cuda = "13.0"
"""


@pytest.mark.parametrize(
    ("available", "state", "words"),
    [(True, "ok", "Card 0, Card 1"), (False, "absent", "processor")],
)
def test_torch_is_asked_which_gpus_it_can_use(
    available: bool, state: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "torch.py").write_text(TORCH.format(available=available))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = examine_torch()
    assert finding.state == state
    assert words in finding.found


def test_a_torch_that_does_not_load_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "torch.py").write_text("raise OSError('a library is missing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert examine_torch().state == "problem"
