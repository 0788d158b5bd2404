"""The tiny grid, run once: stages run in forks of one process that has their imports; all else is as for a user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import forks, helpers
from tests.pipeline.project import Project
from tests.pipeline.site import OWN_FILE, Site, symbols, tiny


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site") / "files")
    genes = symbols()
    for seed, name in enumerate(("alpha", "mine"), start=1):
        helpers.write_counts(site.folder / f"{name}.h5ad", genes, 160, seed=seed)
    helpers.write_encoder(site.folder / "encoder", [f"{gene}: protein" for gene in genes])
    (site.folder / "genes_ncbi.py").write_text("GENEID2NT = {\n}\n", encoding="utf-8")
    shutil.copy(helpers.HGNC, site.folder / "hgnc.tsv")
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the environment of commands whose `python -m stages.x` is a fork of a server's process."""
    folder = tmp_path_factory.mktemp("forks")
    address = folder / "socket"
    paths = [os.fspath(folder), os.fspath(Path(sys.executable).parent), os.environ["PATH"]]
    variables = {**os.environ, "PATH": os.pathsep.join(paths), "DVC_NO_ANALYTICS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("PYTHONPATH", "GENEPT_DOWNLOADS"):
        variables.pop(name, None)
    command = [sys.executable, forks.__file__, os.fspath(address)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, cwd=folder)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    forks.write_shim(folder / "python", sys.executable, address, folder / "seconds.tsv")
    yield variables
    server.terminate()
    server.wait()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], site: Site) -> Project:
    """A clone after `dvc repro` of the tiny grid, everything committed."""
    project = Project(helpers.clone(tmp_path_factory.mktemp("pipeline") / "project"), environment)
    project.run("rm", "-rf", "metrics", "plots", "dvc.lock")
    helpers.write_settings(project.path, **tiny(site))
    (project.path / OWN_FILE).write_text("about these cells\n", encoding="utf-8")
    project.run("dvc", "repro", "--quiet")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "tiny grid")
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished clone, cache included, that a test may change."""
    return finished.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def reseeded(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Such a copy after an experiment with another seed."""
    project = finished.copy(tmp_path_factory.mktemp("reseeded") / "project")
    project.run("dvc", "exp", "run", "-S", "seed=1", "--name", "seed-1")
    return project


@pytest.fixture(scope="session")
def small(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Such a copy after an experiment with another grid, fewer cells and fewer neighbours."""
    project = finished.copy(tmp_path_factory.mktemp("small") / "project")
    project.run(
        *("dvc", "exp", "run", "-S", "grid=${grids.small}"),
        *("-S", "data/alpha.yaml:subset.n_cells=60", "-S", "evaluate.knn.k=5"),
    )
    return project
