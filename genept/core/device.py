"""Where torch computes: ``device`` in params.yaml is ``auto``, ``cpu`` or ``cuda``. Torch is imported when needed."""

from __future__ import annotations

from genept.core.errors import ParamsError


def resolve(device: str) -> str:
    """Turn ``auto`` into ``cuda`` where torch sees a GPU and into ``cpu`` elsewhere; ``cpu`` and ``cuda`` stay.

    Raises
    ------
    ParamsError
        If the device is ``cuda`` and torch sees no GPU.
    """
    if device == "cpu":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise ParamsError("params.yaml: device is cuda, but torch sees no GPU here; set it to auto or cpu")
    return "cpu"


def workers(device: str) -> list[str]:
    """Return the devices to compute on: ``cpu``, or every GPU that torch sees (``CUDA_VISIBLE_DEVICES`` limits them).

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
    """Describe what `workers` returned: ``cpu``, or the GPUs by number and name, as ``2 x NVIDIA H200``."""
    if devices == ["cpu"]:
        return "cpu"
    import torch

    names = [torch.cuda.get_device_name(name) if torch.device(name).type == "cuda" else name for name in devices]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))
