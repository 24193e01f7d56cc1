"""The suite for GPUs in tiny sizes, on whatever device there is."""

import pytest

from benchmarks.figures import Options
from benchmarks.suites import gpu
from benchmarks.towers import TINY

pytest.importorskip("torch")
pytest.importorskip("transformers")


def test_a_part_that_fails_is_told_and_the_others_go_on(tmp_path, monkeypatch):
    def break_down():
        raise RuntimeError("the card\nfell out")

    def parts(*_):
        return [("broken", break_down), ("whole", lambda: [gpu.Figure("a rate", 3.0)])]

    monkeypatch.setattr(gpu, "_parts", parts)
    broken, whole = gpu.run(Options(tmp_path, quick=True))
    assert broken.is_met is False
    assert broken.note == "RuntimeError: the card fell out"
    assert whole.value == 3.0


@pytest.mark.slow
def test_every_part_runs_in_tiny_sizes(tmp_path):
    pytest.importorskip("ultralytics")
    figures = gpu.run(Options(tmp_path, quick=True))
    assert [figure.note for figure in figures if figure.name.endswith("failed")] == []
    by_name = {figure.name: figure.value for figure in figures}
    assert by_name[f"{TINY.name}: stage over bare, 16 rows"] > 0
    apart = f"{TINY.name}: largest difference to the library's own vectors, fp32, of unit length"
    assert by_name[apart] < 1e-4
    assert {
        "yolo-world: stage",
        "faster-rcnn: stage",
        "owlv2: stage",
        "grounding-dino: stage",
    } <= set(by_name)
