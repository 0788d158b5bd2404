"""What is done with workers without a cluster: who gets which part, and how one that differs is named."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from genept.core.errors import InputError
from genept.core.params import load
from genept.engines import cluster
from genept.engines.work import Work


@dataclass(eq=False)
class Future:
    """What a stand-in for a client gives: done at once."""

    item: int

    def result(self) -> int:
        return self.item

    def release(self) -> None:
        pass


class StandIn:
    """A client whose number of workers is set."""

    def __init__(self, n_workers: int) -> None:
        self.n_workers, self.keys, self.items = n_workers, set[str](), list[int]()

    def scheduler_info(self) -> dict[str, Any]:
        return {"workers": dict.fromkeys(range(self.n_workers))}

    def as_current(self) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()

    def submit(self, function: Any, item: int, key: str, pure: bool) -> Future:
        self.keys.add(key)
        self.items.append(item)
        return Future(item)


def test_workers_that_join_get_parts_while_others_are_at_theirs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = StandIn(1)
    workers = cluster.Workers(cast(Any, client), Work("blood", "mine", load()), {}, "")
    n_given = []

    def wait(futures: list[Future], timeout: float, return_when: str) -> Any:
        n_given.append(len(client.items))
        if len(n_given) == 1:
            client.n_workers = 3
            raise TimeoutError
        return SimpleNamespace(done={futures[-1]})

    monkeypatch.setattr("distributed.wait", wait)
    assert sorted(item for item, _ in workers.results(print, range(20), Path())) == list(range(20))
    assert n_given[:4] == [2, 6, 7, 8] and len(client.keys) == 20
    n_given[:] = [0]
    assert [item for item, _ in workers.results(print, range(9), Path(), in_turn=True)] == list(range(9))
    client.n_workers = 0
    monkeypatch.setattr(cluster, "PATIENCE", 0)
    monkeypatch.setattr("distributed.wait", lambda *_, **__: (_ for _ in ()).throw(TimeoutError))
    with pytest.raises(InputError, match="finished parts are in here"):
        list(workers.results(print, range(9), Path("here")))


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"error": "no cells"}, "worker w: no cells"),
        ({"version of torch": "1"}, "version of torch is 1, elsewhere 2; install the same requirements.txt"),
        ({cluster.PYTHON: "3.9"}, "version of Python is 3.9, elsewhere 3.11; give it the same"),
        ({"code": "b"}, "its code is not that of this process; restart it with this repository"),
        (
            {"settings of m": "b"},
            "its settings of m differ from those of this process; restart it with this repository",
        ),
        ({"files in models/m": "b"}, "its files in models/m differ from those of this process; `dvc pull` there"),
        ({cluster.DEVICE: "cuda"}, "computes on cuda, another on cpu; set device in params.yaml"),
    ],
)
def test_what_differs_is_named_and_what_helps(found: dict[str, str], text: str) -> None:
    expected = {
        **{"version of torch": "2", cluster.PYTHON: "3.11", cluster.DEVICE: "cpu"},
        **dict.fromkeys(("code", "settings of m", "files in models/m"), "a"),
    }
    cluster.compare(expected, expected, "w")
    with pytest.raises(InputError, match=text):
        cluster.compare(expected | found, expected, "w")
