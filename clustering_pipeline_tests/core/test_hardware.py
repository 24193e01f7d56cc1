"""Precision by device, and a card that lies idle."""

import pytest

from clustering_pipeline.core.hardware import (
    Hardware,
    idle_card,
    resolve_devices,
    resolve_precision,
)

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("asked", "device", "half", "supports_bf16", "expected"),
    [
        ("auto", "cpu", "fp16", True, "fp32"),
        ("auto", "mps", "bf16", True, "fp32"),
        ("auto", "cuda:1", "fp16", False, "fp16"),
        ("auto", "cuda", "bf16", True, "bf16"),
        ("auto", "cuda", "bf16", False, "fp32"),
        ("fp16", "cpu", "bf16", True, "fp16"),
    ],
)
def test_the_short_format_is_the_model_s_where_the_device_computes_in_it(
    asked, device, half, supports_bf16, expected, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: supports_bf16)
    assert resolve_precision(Hardware(precision=asked), device, half) == expected


def test_every_gpu_is_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert resolve_devices(Hardware()) == ["cuda:0", "cuda:1", "cuda:2"]
    assert resolve_devices(Hardware(device="cpu")) == ["cpu"]


@pytest.mark.parametrize(("cuda", "words"), [(None, "without CUDA"), ("13.0", "driver")])
def test_a_card_that_torch_cannot_use_is_said(cuda, words, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    assert idle_card(Hardware(), tmp_path) == ""
    (tmp_path / "0000:01:00.0").mkdir()
    assert words in idle_card(Hardware(), tmp_path)
    assert idle_card(Hardware(device="cpu"), tmp_path) == ""


def test_a_card_that_is_used_is_not_idle(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    (tmp_path / "0000:01:00.0").mkdir()
    assert idle_card(Hardware(), tmp_path) == ""
