"""Which device an engine runs on."""

from __future__ import annotations

import pytest
import torch

from genept.core import compute
from genept.core.errors import ParamsError


def test_the_device_is_resolved_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compute.resolve_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (compute.resolve_device("auto"), compute.resolve_device("cuda")) == ("cuda", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert compute.resolve_device("auto") == "cpu"
    with pytest.raises(ParamsError, match="torch sees no GPU"):
        compute.resolve_device("cuda")


def test_every_gpu_gets_a_worker_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compute.workers("cpu") == ["cpu"]
    assert compute.describe_devices(["cpu"]) == "cpu"
    names = ["H200", "H200", "T4"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda name: names[int(name.removeprefix("cuda:"))])
    assert compute.workers("auto") == ["cuda:0", "cuda:1", "cuda:2"]
    assert compute.describe_devices(compute.workers("auto")) == "2 x H200, 1 x T4"
