"""Memory goes back to the system, measured in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CHILD = """
import numpy as np
import psutil

from genept.core import allocator

if {gives_back}:
    allocator.give_back()
large = np.ones(31 << 17)  # 31 MB: glibc raises its limit when it is freed
del large
before = psutil.Process().memory_info().rss
arrays, others = [], []
for _ in range(20):
    arrays.append(np.ones(10 << 17))
    others.append(np.ones(1 << 14))  # 128 kB, which stay
arrays.clear()
print((psutil.Process().memory_info().rss - before) >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc only")
def test_freed_arrays_are_given_back_though_others_stay() -> None:
    """20 arrays of 10 MB are freed; without `give_back` their room stays in the heap."""
    kept = [
        int(subprocess.run([sys.executable, "-c", CHILD.format(gives_back=on)], capture_output=True, check=True).stdout)
        for on in (True, False)
    ]
    assert kept[0] < 20 and kept[0] < kept[1], kept
