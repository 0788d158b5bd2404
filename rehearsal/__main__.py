"""Rehearse the paper's grid: ``python -m rehearsal``; README.md beside this file says what is real of it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import click
import yaml

from rehearsal import certificates, checks, datasets, instead, models, services, simulate, troubles, workspace
from rehearsal.datasets import Kit
from rehearsal.embeddings import Embeddings
from rehearsal.proxy import Proxy
from rehearsal.publish import publish
from rehearsal.services import World
from rehearsal.simulate import Panel
from rehearsal.workspace import Failed, Workspace

MOST_RUNS = 12
GRID = "grid=${grids.paper}"


@click.command()
@click.option("--keep", type=click.Path(path_type=Path), help="Work in this new folder and leave it there.")
@click.option("--processes", is_flag=True, help="Every stage in a process of its own, as for a user: far slower.")
def main(keep: Path | None, processes: bool) -> None:
    """Run the whole grid of the paper on miniatures, against servers that are played on this machine."""
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-")) if keep is None else keep.absolute()
    if keep and keep.exists():
        sys.exit(f"{keep}: is there already; name a new folder")
    status: str | int = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        rehearse(folder, processes)
    except Failed as error:
        status = f"Rehearsal failed: {error}" + (
            f" (see {folder}/log.txt)" if keep else " (--keep FOLDER keeps the log)"
        )
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(status)


def rehearse(folder: Path, processes: bool) -> None:
    """Do it all.

    Raises
    ------
    Failed
        If anything is not as it should be.
    """
    clock = Clock()
    place = workspace.make(folder)
    params = yaml.safe_load((place.path / "params.yaml").read_text(encoding="utf-8"))
    grid = params["grids"]["paper"]
    place.stage("genept.downloads", "references", "hgnc")
    clock.lap("clone, and the table of genes from the package index")

    world, trouble, key = World(), troubles.Troubles(), f"sk-{secrets.token_hex(24)}"
    changes = serve_all(place.path, params, grid, world, trouble)
    world.embeddings = Embeddings(key)
    trouble.add(services.OPENAI, "/v1/embeddings", troubles.busy, troubles.reset, troubles.unavailable)
    change_params(place.path / "params.yaml", changes)
    place.commit("Hashes of the miniatures")
    clock.lap(f"{len(world.routes) + len(world.drive)} addresses with miniatures")

    context, bundle = certificates.make(world.hosts(), folder / "certificates")
    proxy = Proxy(world.hosts(), context, lambda request, body: answer(world, trouble, request, body), upstream())
    try:
        point_to(place, proxy.url, bundle, key, world.hosts())
        if not processes:
            place.fork_stages(params["threads"])
        click.echo("Running the grid: this takes minutes")
        ends = run_grid(place)
        clock.lap("the grid")
        others = other_ways(place, params, grid)
        clock.lap("the other ways to a dataset")
        wrong = [*trouble.missed(proxy.log), *checks.all_of(place.path, grid, others, key)]
        found = checks.found(place.path, grid)
        wrong += instead.without_subsets(place, params, grid, world)
        wrong += instead.own_labels(place, params)
        clock.lap("the authors' subsets gone, and labels of one's own")
    finally:
        proxy.stop()
        place.stop()
    click.echo("\nWhat changed in params.yaml:\n" + "\n".join(f"  {line}" for line in changes["lines"]))
    click.echo("\nRuns that a server ended, with their one line:\n" + "\n".join(f"  {line}" for line in ends))
    click.echo("\nTroubles that were put in and got over:\n" + "\n".join(f"  {line}" for line in troubles_of(proxy)))
    click.echo(f"\nHosts beyond this machine (the package index): {', '.join(sorted(set(proxy.tunnels))) or 'none'}")
    click.echo(f"\n{found}")
    click.echo("\nSeconds by kind of stage:\n" + checks.seconds(place.seconds))
    click.echo(f"\n{clock.report()}")
    if wrong:
        click.echo("\nWrong:\n" + "\n".join(f"  {line}" for line in wrong))
        raise Failed(wrong[0] + (f"; and {len(wrong) - 1} more" if len(wrong) > 1 else ""))


class Clock:
    """How long each part took."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()
        self.laps: list[str] = []

    def lap(self, what: str) -> None:
        now = time.monotonic()
        self.laps.append(f"{what}: {now - self.last:.0f} s")
        click.echo(self.laps[-1])
        self.last = now

    def report(self) -> str:
        return f"{'; '.join(self.laps)}. In all {time.monotonic() - self.began:.0f} s"


def answer(world: World, trouble: troubles.Troubles, request: Any, body: bytes) -> Any:
    """Answer a request, well or with trouble."""
    return trouble.into(request, world.answer(request, body))


def serve_all(
    root: Path, params: dict[str, Any], grid: dict[str, Any], world: World, trouble: troubles.Troubles
) -> dict[str, Any]:
    """Make the files of all datasets and models that are somewhere on the web, and serve them.

    Returns
    -------
    The hashes of the real files with those of the miniatures that take their place, and the changes in words.
    """
    from genept.data import hgnc

    tables = simulate.markers(root / "stages" / "reanalyse" / "markers")
    wanted = [gene for name in ("artery", "bones") for genes in tables.get(name, {}).values() for gene in genes]
    genes = simulate.panel(hgnc.read(root / hgnc.PATH), wanted)
    hashes, lines = dict[str, str](), list[str]()
    made: list[tuple[str, dict[str, Any], dict[str, bytes], dict[str, bytes]]] = []
    for seed, (name, entry) in enumerate(params["datasets"].items(), start=100):
        if name in datasets.MAKERS:
            made.append(
                (f"datasets.{name}", entry["source"], datasets.MAKERS[name](Kit(genes, tables, entry, seed)), {})
            )
        elif name in grid["datasets"]:
            raise Failed(f"datasets.{name}: no miniature is known of its files")
    made += of_models(params, grid, genes)
    for where, source, contents, siblings in made:
        for target, new in publish(source, contents, world, trouble, siblings).items():
            for what, digest in new.items():
                hashes[str(source["files"][target][what])] = digest
                lines.append(f"{where}.source.files.{target}.{what}")
    return {"hashes": hashes, "lines": lines}


def of_models(params: dict[str, Any], grid: dict[str, Any], genes: Panel) -> list[Any]:
    """Return the sources of the grid's models with their files, and what else is in their archives."""
    found = []
    for name in dict.fromkeys([*grid["fetched"], *grid["vectors"]]):
        source = params["models"][name]["source"]
        if source["kind"] == "wheel":
            continue
        is_zenodo = source["kind"] == "zenodo"
        siblings = models.genept(genes, seed=3) if is_zenodo else {}
        found.append((f"models.{name}", source, models.contents(name, source, genes, seed=3), siblings))
    return found


def change_params(path: Path, changes: dict[str, Any]) -> None:
    """Put the miniatures' hashes in place of the real ones, and change nothing else."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes["hashes"].items():
        if old not in text:
            raise Failed(f"params.yaml: the hash {old} is not written there as it is read")
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def upstream() -> tuple[str, int] | None:
    """Return the proxy by which this machine reaches the web, if there is one."""
    address = urllib.request.getproxies().get("https")
    parts = urllib.parse.urlsplit(address or "")
    return (parts.hostname, parts.port or 80) if parts.hostname else None


def point_to(place: Workspace, proxy: str, bundle: Path, key: str, played: frozenset[str]) -> None:
    """Make the proxy the way to the web, by the variables that a user behind one sets."""
    past = [host for host in os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")).split(",") if host.strip()]
    past = [
        host for host in past if host != "*" and not any(name.endswith(host.strip().lstrip("*.")) for name in played)
    ]
    place.environment |= {
        **dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), proxy),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join([*past, "127.0.0.1", "localhost"])),
        **dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"), str(bundle)),
        "OPENAI_API_KEY": key,
        "SCP_TOKEN": services.CODE,
    }


def run_grid(place: Workspace) -> list[str]:
    """Run the documented command, and `dvc repro` again as often as a server ends a run; return those ends."""
    ends: list[str] = []
    for number in range(MOST_RUNS):
        command = ("exp", "run", "--set-param", GRID) if not number else ("repro",)
        result = place.dvc(*command, check=False)
        if not result.returncode:
            return ends
        said = [line for line in result.stdout.splitlines() if line.startswith("Error: ")]
        if len(said) != 1 or "Traceback" in result.stdout:
            last = result.stdout.strip().splitlines()[-1]
            raise Failed(f"`dvc {' '.join(command)}` ended with {len(said)} lines that say why; the last line: {last}")
        if said[0] in ends:
            raise Failed(f"twice in the same place: {said[0]}")
        ends.append(said[0])
        click.echo(f"  {said[0]}")
    raise Failed(f"the grid did not get through in {MOST_RUNS} runs")


def other_ways(place: Workspace, params: dict[str, Any], grid: dict[str, Any]) -> list[str]:
    """Fetch and label what is another way to one of the paper's datasets, outside the grid; return their names."""
    names = [name for name in datasets.MAKERS if name in params["datasets"] and name not in grid["datasets"]]
    for name in names:
        for run in range(4):
            result = place.stage("genept.downloads", "datasets", name, check=False)
            if not result.returncode:
                break
            if run == 3 or "Traceback" in result.stdout:
                raise Failed(f"{name}: {result.stdout.strip().splitlines()[-1]}")
        place.stage("genept.datasets", name)
    return names


def troubles_of(proxy: Proxy) -> list[str]:
    """Say what happened to whom."""
    return [f"{entry.trouble:12} {entry.host}{entry.path}" for entry in proxy.log if entry.trouble]


if __name__ == "__main__":
    main(prog_name="python -m rehearsal")
