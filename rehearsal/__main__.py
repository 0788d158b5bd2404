"""Rehearse the paper's grid: ``python -m rehearsal``; README.md beside this file says what is real of it."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import click

from genept.core import params as parameters
from genept.core.params import Grid
from genept.datasets import config as datasets
from genept.downloads.config import Source, files_of
from genept.downloads.place import Place
from genept.engines import config as models
from rehearsal import changes, checks, expected, services, workspace
from rehearsal.datasets import MAKERS, Kit
from rehearsal.models import contents
from rehearsal.proxy import Proxy
from rehearsal.publish import NOT_SERVED, Publisher
from rehearsal.services import World
from rehearsal.simulate import panel, read_markers
from rehearsal.troubles import Troubles, broken, busy, unavailable
from rehearsal.workspace import PROXIES, Failed, Workspace


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
        copy = workspace.make(folder)
        with contextlib.chdir(copy.path):
            rehearse(copy, processes)
    except Failed as error:
        where = f"see {folder}/log.txt" if keep else "--keep FOLDER keeps the log"
        status = f"Rehearsal failed: {error} ({where})"
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(status)


FEWER = (  # than in a real run: that everything is scored matters here, and not how often
    *("evaluate.repeats=3", "protocols.authors.repeats=3"),
    *("models/random_w.yaml:draws=2", "models/shuffled_w.yaml:draws=2"),
)


def rehearse(copy: Workspace, processes: bool) -> None:
    """Run and check everything; the working folder is the copy. `Failed` if anything is not as it should be."""
    start = time.monotonic()

    def lap(what: str) -> None:
        click.echo(f"{time.monotonic() - start:4.0f} s  {what}")

    params = parameters.load()
    grid = params.grids["paper"]
    copy.run("python", "-m", "stages.fetch", "reference")
    lap("copy of the repository, and tables of genes from the package index")

    key = f"sk-{secrets.token_hex(24)}"
    world, trouble = World(key), Troubles()
    replaced = serve(grid, Publisher(world, trouble))
    trouble.add((services.OPENAI, "/v1/embeddings"), busy, broken, unavailable)
    copy.commit("Hashes of the miniatures")
    lap(f"{len(world.routes) + len(world.drive)} addresses with miniatures")

    certificate = copy.folder / "authority.pem"
    proxy = Proxy(world.hosts(), lambda request: trouble.apply(request, world.answer(request)), certificate)
    try:
        point_to(copy, proxy.address, certificate, key)
        if not processes:
            copy.fork_stages(params.threads)
        with trouble.held_back():
            page = copy.run("python", "-m", "stages.fetch", "check", "paper").stdout
        lap("the check before a run")
        click.echo(f"\n{page}\nRunning the grid: this takes minutes")
        settings = [word for setting in ("grid=${grids.paper}", *FEWER) for word in ("--set-param", setting)]
        ends = copy.until_done("dvc", "exp", "run", *settings)
        lap("the grid")
        others = [name for name in MAKERS if name not in grid.datasets and not name.endswith(".fallback")]
        for name in others:
            ends += copy.until_done("python", "-m", "stages.fetch", "dataset", name)
            copy.run("python", "-m", "stages.label", name)
        lap("datasets outside the grid")
        wrong = checks.all_of(parameters.load(), others, key)
        summary = checks.summary(parameters.load())
        wrong += expected.wrong_files(copy, [*grid.datasets, *others])
        wrong += changes.own_labels(copy)
        wrong += [f"{file}: downloaded twice" for file in proxy.twice()]
        with_fallback = [name for name in grid.datasets if f"{name}.fallback" in MAKERS]
        more_wrong, more_ends = changes.without_subsets(copy, with_fallback, world)
        wrong += more_wrong + trouble.missed(proxy.log) + [f"{host}: not played" for host in set(proxy.refused)]
        lap("labels of one's own, and the authors' subsets gone")
    finally:
        proxy.stop()
        copy.stop()
    troubles = [f"{one.trouble:12} {''.join(one.place)}" for one in proxy.log if one.trouble]
    show("Settings whose hashes are now a miniature's", replaced)
    show("Runs that a server ended, with their one line", ends + more_ends)
    show("Troubles that were put in and got over", troubles)
    click.echo(f"\n{summary}\n\nSeconds by kind of stage:\n{checks.seconds(copy.seconds)}\n")
    lap("in all")
    if wrong:
        show("Wrong", wrong)
        raise Failed(wrong[0] + (f"; and {len(wrong) - 1} more" if len(wrong) > 1 else ""))


def show(title: str, lines: list[str]) -> None:
    """Print lines below a title."""
    click.echo(f"\n{title}:\n" + "\n".join(f"  {line}" for line in lines))


def serve(grid: Grid, publisher: Publisher) -> list[str]:
    """Make the files of all datasets and models that are somewhere on the web, and serve them.

    What datasets expect becomes the miniatures' numbers. Returns the settings files in which the sha256 of a real file
    was replaced by that of its miniature, and how many.
    """
    from genept.data import hgnc

    markers = read_markers(Path("data/markers"))
    wanted = [gene for name in ("artery", "bones") for genes in markers[name].values() for gene in genes]
    genes = panel(hgnc.read(), wanted)
    places: dict[str, Place] = {}
    files: dict[str, bytes] = {}

    def add(name: str, source: tuple[Source, ...], made: dict[str, bytes]) -> None:
        for target, file in files_of(source).items():
            if file.places[0].kind not in NOT_SERVED:
                places[f"{name}/{target}"] = file.places[0]
                files[f"{name}/{target}"] = made[target]

    names = [*grid.datasets, *sorted(MAKERS.keys() - set(grid.datasets))]  # those of the grid get into trouble first
    for seed, name in enumerate(names, start=100):
        config = datasets.read(name.removesuffix(".fallback"))
        config = config.fallback or config if name.endswith(".fallback") else config
        made = MAKERS[name](Kit(genes, markers, seed))
        add(name, config.source, made)
        expected.replace(name, expected.counted(config, made))
    for name in grid.models.names:
        config = models.read(name)
        of_model = {target: file.places[0] for target, file in files_of(config.source).items()}
        add(name, config.source, contents(name, of_model, genes, seed=3) if of_model else {})
    publisher.publish(places, files)
    return replace_hashes(publisher.hashes)


def replace_hashes(hashes: dict[str, str]) -> list[str]:
    """Put the miniatures' hashes in place of the real ones, and change nothing else."""
    replaced = dict.fromkeys(hashes, 0)
    lines = []
    for path in sorted([*Path("data").glob("*.yaml"), *Path("models").rglob("*.yaml")]):
        text = path.read_text(encoding="utf-8")
        here = [real for real in hashes if real in text]
        for real in here:
            text, replaced[real] = text.replace(real, hashes[real]), 1
        if here:
            path.write_text(text, encoding="utf-8")
            lines.append(f"{path}: {len(here)}")
    if missed := [real for real, times in replaced.items() if not times]:
        raise Failed(f"the hash {missed[0]} is in no settings file as it is read")
    return lines


def point_to(copy: Workspace, proxy: str, certificate: Path, key: str) -> None:
    """Make the proxy the way to the web, by the variables that a user behind one sets."""
    for name in PROXIES:
        for variable in (name, name.lower()):
            copy.environment[variable] = "127.0.0.1,localhost" if name == "NO_PROXY" else proxy
    trusted = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"), str(certificate))
    copy.environment |= {**trusted, "OPENAI_API_KEY": key, "SCP_TOKEN": services.CODE}


if __name__ == "__main__":
    main(prog_name="python -m rehearsal")
