"""Where torch computes: ``device`` in params.yaml is ``auto``, ``cpu`` or ``cuda``."""

from __future__ import annotations

from genept.core.errors import ParamsError

DEVICES = ("auto", "cpu", "cuda")


def resolve(device: str) -> str:
    """Turn ``auto`` into ``cuda`` where torch sees a GPU and into ``cpu`` elsewhere; ``cpu`` and ``cuda`` stay.

    It imports torch, so only engines that use torch call it.

    Raises
    ------
    ParamsError
        If the device is none of `DEVICES`, or ``cuda`` where torch sees no GPU.
    """
    if device not in DEVICES:
        raise ParamsError(f"params.yaml: device must be {', '.join(DEVICES[:-1])} or {DEVICES[-1]}, got {device!r}")
    if device == "cpu":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise ParamsError("params.yaml: device is cuda, but torch sees no GPU here; set it to auto or cpu")
    return "cpu"


def workers(device: str) -> list[str]:
    """Return the devices of torch to compute on: every GPU that torch sees, or the processor.

    ``CUDA_VISIBLE_DEVICES`` limits the GPUs.

    Raises
    ------
    ParamsError
        As `resolve`.
    """
    if resolve(device) == "cpu":
        return ["cpu"]
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]


def describe(devices: list[str]) -> str:
    """Say what `workers` returned: ``cpu``, or the GPUs by number and name."""
    if devices == ["cpu"]:
        return "cpu"
    import torch

    names = [torch.cuda.get_device_name(name) if torch.device(name).type == "cuda" else name for name in devices]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))
