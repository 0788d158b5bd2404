"""The bundled libraries are what the pinned packages make."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from genept.webpage.render import HERE

LIBRARIES = HERE / "libraries"
UNREACHABLE = (  # what npm says of a network, a proxy or a registry, not of a package
    "ENOTFOUND|ECONNREFUSED|ECONNRESET|ECONNABORTED|ENETUNREACH|EAI_AGAIN|EPIPE|EPROTO"
    "|ETIMEDOUT|EIDLETIMEOUT|ERR_SOCKET_TIMEOUT|E429|E5[0-9][0-9]"
)


def test_the_bundle_is_what_its_packages_make(tmp_path: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if not (npm and node):
        pytest.skip("no npm, which makes the bundle of libraries again")
    for name in ("package.json", "package-lock.json", "bundle.mjs"):
        shutil.copy2(LIBRARIES / name, tmp_path)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        installed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("npm gets nothing from its registry within two minutes")
    if re.search(rf"\b({UNREACHABLE})\b", installed.stderr):
        pytest.skip(f"npm reaches no registry: {installed.stderr.splitlines()[0]}")
    assert installed.returncode == 0, installed.stderr
    subprocess.run([node, "bundle.mjs"], cwd=tmp_path, check=True)
    for name in ("libraries.js", "libraries.css", "licences.txt"):
        assert (tmp_path / name).read_bytes() == (LIBRARIES / name).read_bytes(), name


def test_every_package_that_the_bundle_needs_has_its_licence() -> None:
    packages = json.loads((LIBRARIES / "package-lock.json").read_text())["packages"]
    bundled = {
        path.removeprefix("node_modules/"): package
        for path, package in packages.items()
        if path and not package.get("dev")
    }
    licences = (LIBRARIES / "licences.txt").read_text()
    direct = json.loads((LIBRARIES / "package.json").read_text())["dependencies"]
    print(sorted(name for name, p in bundled.items() if f"{name} {p['version']}" not in licences))
    assert not [name for name in direct if f"{name} {bundled[name]['version']}" not in licences]


def test_the_styles_of_the_libraries_load_nothing() -> None:
    addresses = re.findall(r"url\(\s*[\"']?([^)\"']{0,20})|@import", (LIBRARIES / "libraries.css").read_text())
    assert not [address for address in addresses if not address.startswith("data:")]
