"""How scores are made and read, what each row is, and the chain behind each number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from genept.report import captions, glossary, trace
from genept.report import tracking_words as words
from genept.report.pairs import BOUNDS
from genept.report.records import METRICS
from genept.repository.lock import Lock, LockedFile, outputs
from genept.webpage.render import html
from genept.webpage.sources import Sources, View


class Recorded(NamedTuple):
    """A file or folder of a stage: its path, its hash, and the stages that made it."""

    path: str
    md5: str
    made_by: list[str]


class Stage(NamedTuple):
    """A stage as ``dvc.lock`` records it."""

    name: str
    command: str
    outputs: list[Recorded]
    inputs: list[Recorded]
    parameters: list[str]


def view(sources: Sources) -> View:
    """Return the view."""
    run, params = sources.run, sources.run.params
    chains = {(pair.dataset, pair.model): chain(pair.dataset, pair.model, sources.lock) for pair in run.pairs}
    names = list(dict.fromkeys(name for of_score in chains.values() for name in of_score))
    models = list(glossary.models(run))
    ensemble = [captions.ensemble(params.evaluate)] if params.grid.ensemble else []
    patients = [captions.patients(params)] if run.has_patients else []
    text = html(
        "method.html",
        scored=[captions.protocol(run.applied), captions.unlike_authors(params), captions.missing(params)],
        made=[captions.clusters(params), *patients, captions.nearest(params), *ensemble],
        read=[
            captions.runs(run.applied),
            *captions.samples(run),
            captions.bounds(params, has_supervised=True),
            captions.bold(is_shown=True),
        ],
        rule=words.RULE,
        metrics=[
            {"heading": words.heading(one.name), "meaning": one.meaning, "low": f"{one.low:g}"}
            | {"tasks": " and ".join(one.tasks)}
            for one in glossary.metrics(run)
        ],
        models=models,
        notes=[
            *captions.roles(run, [model.name for model in models]),
            *glossary.terms(" ".join(model.title for model in models)),
        ],
        stages=list(stages(sources.lock, names)),
    )
    place = {name: number for number, name in enumerate(names)}
    data = {
        "datasets": list(run.records),
        "models": params.grid.scored,
        "stages": names,
        "chains": [  # by dataset, then model: the file with the scores, and the places of its stages
            [
                [path(dataset, model).as_posix(), [place[name] for name in chains[dataset, model]]]
                for model in params.grid.scored
            ]
            for dataset in run.records
        ],
    }
    return View("method", "Method", text, data if names else None)


def path(dataset: str, model: str) -> Path:
    """Return the file that has the scores of a pair; what scores lie between has no headline scores."""
    if model in BOUNDS:
        return METRICS / "full" / dataset / f"{model}.csv"
    return METRICS / "scores" / dataset / f"{model}.json"


def chain(dataset: str, model: str, lock: Lock) -> list[str]:
    """Return the stages behind the scores of a pair."""
    return trace.chain(path(dataset, model), lock)


def stages(lock: Lock, names: list[str]) -> Iterator[Stage]:
    """Yield what is recorded of some stages."""
    made_by = outputs(lock)

    def recorded(files: Sequence[LockedFile], is_made: bool) -> list[Recorded]:
        return [
            Recorded(one["path"], one["md5"], trace.writers(Path(one["path"]), made_by) if is_made else [])
            for one in files
        ]

    for name in names:
        stage = lock[name]
        outs, deps = recorded(stage.get("outs", []), False), recorded(stage.get("deps", []), True)
        yield Stage(name, stage["cmd"], outs, deps, trace.parameters(stage))
