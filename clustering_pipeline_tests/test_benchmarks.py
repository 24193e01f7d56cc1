"""The suite for GPUs in tiny sizes, on whatever device there is; and what long suites count."""

import json
import os
import subprocess
import sys
import time

import pytest

from benchmarks.figures import Options
from benchmarks.suites import crashes, damage, faults, gpu, syncing
from benchmarks.towers import TINY
from benchmarks.trials import Trials


def test_trials_that_are_kept_are_not_run_again_and_none_begins_after_the_end(tmp_path):
    kept = tmp_path / "kept"
    ran = []

    def measure(name):
        ran.append(name)
        return {"of": name}

    before = Trials("suite", Options(tmp_path, kept=kept))
    assert before.take("a", lambda: measure("a"))["of"] == "a"
    after = Trials("suite", Options(tmp_path, kept=kept, ends=time.monotonic()))
    assert after.take("a", lambda: measure("a"))["of"] == "a"
    assert after.take("b", lambda: measure("b")) is None
    assert ran == ["a"]


def kill(**changes):
    record = {"failures": [], "differences": [], "wait": 0.5, "seconds": 20.0}
    return {**record, **changes}


def test_kills_that_did_not_run_are_not_counted():
    ran = [kill(), kill(differences=["serum after 3.0 s"], wait=11.0)]
    tried, failed, different, wait, _ = crashes.figures(ran, 40, "abc", 30.0)
    assert (tried.value, tried.asked, tried.is_met) == (2, 40, False)
    assert failed.is_met
    assert different.value == 1 and not different.is_met
    assert wait.value == 11.0 and not wait.is_met
    assert "of 2 kills" in failed.name
    assert not crashes.figures([], 40, "", 0.0)[0].is_met


def test_damages_that_did_not_run_are_not_counted():
    outcomes = {"a": "first", "b": "second", "c": "wrong", "d": "stuck"}
    found = {name: {"outcome": outcome} for name, outcome in outcomes.items()}
    tried, wrong, stuck, second = damage.figures(found, 38, "abc")
    assert (tried.value, tried.asked, tried.is_met) == (4, 38, False)
    assert (wrong.note, stuck.note, second.note) == ("c", "d", "b")
    assert not wrong.is_met and not stuck.is_met


@pytest.mark.skipif(not faults.LIBFAKETIME.exists(), reason="libfaketime is not installed")
@pytest.mark.parametrize("offset", ["-366d", "+366d"])
def test_a_moved_clock_moves_the_calendar_and_lets_processes_sleep(tmp_path, offset):
    program = """
import json, time
since = time.monotonic()
time.sleep(0.2)
print(json.dumps([time.time(), time.monotonic() - since]))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | faults.moved_clock(tmp_path / "clock", offset),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    moment, slept = json.loads(ended.stdout)
    days = (moment - time.time()) / 86_400
    assert days == pytest.approx(int(offset.removesuffix("d")), abs=0.1)
    assert 0.2 <= slept < 20


def test_faults_are_counted_by_what_the_next_run_makes():
    fine = {"hung": False, "wordless": False, "said": "", "next": "", "equal": True, "stage": "s"}
    ran = [
        {**fine, "name": "a"},
        {**fine, "name": "b", "hung": True},
        {**fine, "name": "c", "next": "it failed", "equal": False},
        {**fine, "name": "d", "equal": False},
        {**fine, "name": "e", "wordless": True, "code": 1},
        None,
    ]
    tried, hung, wordless, failed, different = faults.figures("a fault", 6, ran)
    assert (tried.value, tried.asked, tried.note) == (5, 6, "s")
    assert (hung.note, failed.note) == ("b", "c: it failed")
    assert wordless.note.startswith("e: exit code 1")
    assert different.note == "d" and not different.is_met
    (absent,) = faults.figures("a fault", 1, [None])
    assert absent.value == 0 and "not tried" in absent.note


def test_waits_at_the_same_time_count_once():
    assert syncing.covered([(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (1.5, 1.6)]) == pytest.approx(4.0)
    assert syncing.covered([]) == 0.0


def need_torch():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")


def test_a_part_that_fails_is_told_and_the_others_go_on(tmp_path, monkeypatch):
    need_torch()

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
    need_torch()
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
